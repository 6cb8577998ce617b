"""A table of vectors as a layer; the arithmetic stands in ``linnet.ops.embedding``."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype, Initializer
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import (
    NO_METADATA,
    Layer,
    chosen,
    default_embed_init,
    draw,
    param,
    params_of,
    spread,
    value_of,
)
from linnet.nnx.objects.kinds import Param
from linnet.nnx.random.streams import Rngs
from linnet.ops import embedding
from linnet.ops.dtypes import as_array

Promote = Callable[..., Any]


class Embed(Layer):
    """Look up vectors by integers, in a table of parameters.

    Args:
        num_embeddings: how many vectors there are.
        features: the size of each.
        dtype: dtype of the result; ``None`` for that of the table.
        param_dtype: dtype of the table.
        embedding_init: draws the table.
        promote_dtype: brings query and table, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the table.
        embedding_metadata: metadata of the table.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.Embed(num_embeddings=5, features=3, rngs=nnx.Rngs(0))
    >>> layer(jnp.array([[1, 4]])).shape, layer.attend(jnp.ones((2, 3))).shape
    ((1, 2, 3), (2, 5))
    """

    embedding: Param[Array]

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        embedding_init: Initializer = default_embed_init,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        embedding_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        drawn = draw(params_of(rngs, self), embedding_init, (num_embeddings, features), param_dtype)
        table = param(drawn, embedding_metadata)
        self._set_up(
            ("embedding",),
            embedding=table,
            **chosen(given, "num_embeddings features"),
            dtype=dtype or table.get_value().dtype,
            **chosen(given, "param_dtype promote_dtype"),
        )

    def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
        """Look up: integers ``(...)`` to ``(..., features)``.

        Args:
            inputs: the rows to look up.
            out_sharding: how the result is laid out over devices of an explicit mesh.

        Raises:
            ValueError: the inputs are not integers.
        """
        inputs = as_array(inputs, self)
        return embedding.embed(
            inputs,
            value_of(self.embedding),
            dtype=self.dtype,
            out_sharding=out_sharding,
            promote_dtype=spread(self.promote_dtype),
        )

    def attend(self, query: Array, out_sharding: Any = None) -> Array:
        """Score queries against every row: ``(..., features)`` to ``(..., num_embeddings)``."""
        query = as_array(query, self)
        return embedding.attend(
            query,
            value_of(self.embedding),
            dtype=self.dtype,
            out_sharding=out_sharding,
            promote_dtype=spread(self.promote_dtype),
        )
