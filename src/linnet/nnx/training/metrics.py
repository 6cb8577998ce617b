"""Metrics: numbers about a model, gathered over many batches.

A metric is an object with variables: ``update`` takes a batch in, ``compute`` returns the number
for all batches since ``reset``. Being objects, metrics go through ``nnx.jit`` like models.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from linnet.base.errors import listing, short
from linnet.nnx.graph.split import split
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.variable import Variable
from linnet.state.filters import Filter
from linnet.tree import struct


class MetricState(Variable[Any]):
    """What a metric keeps between batches."""


class Metric(Pytree):
    """The base class of metrics."""

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define reset().")

    def update(self, **kwargs: Any) -> None:
        """Take a batch in."""
        raise NotImplementedError(f"{type(self).__name__} does not define update(**batch).")

    def compute(self) -> Any:
        """Return the value of the metric over all batches since the last ``reset``."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute().")

    def split(self, *filters: Filter) -> Any:
        """Return structure and state; see ``nnx.split``."""
        return split(self, *filters)


class Average(Metric):
    """The mean of all values.

    Args:
        argname: the keyword argument under which ``update`` finds the values.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> loss = nnx.metrics.Average("loss")
    >>> loss.update(loss=jnp.array([1.0, 3.0]))
    >>> print(loss.compute())
    2.0
    """

    def __init__(self, argname: str = "values") -> None:
        self.argname = argname
        self.total = MetricState(jnp.array(0, dtype=jnp.float32))
        self.count = MetricState(jnp.array(0, dtype=jnp.int32))

    def reset(self) -> None:
        """Forget all values."""
        self.total[...] = jnp.array(0, dtype=jnp.float32)
        self.count[...] = jnp.array(0, dtype=jnp.int32)

    def update(self, mask: Any = None, **kwargs: Any) -> None:
        """Take values in.

        Args:
            mask: where it is false, a value does not count; a bool array like the values.
            **kwargs: the values, under the name that the metric was made with.

        Raises:
            TypeError: there is no argument of that name.
        """
        values = jnp.asarray(_argument(self, kwargs))
        if mask is None:
            self.total[...] += jnp.sum(values)
            self.count[...] += values.size
        else:
            self.total[...] += jnp.sum(jnp.where(mask, values, 0))
            self.count[...] += jnp.sum(jnp.broadcast_to(mask, jnp.shape(values))).astype(jnp.int32)

    def compute(self) -> Any:
        """Return the mean; ``nan`` if there are no values."""
        return self.total[...] / self.count[...]


def _argument(metric: Any, kwargs: dict[str, Any]) -> Any:
    if metric.argname not in kwargs:
        raise TypeError(
            f"{type(metric).__name__}.update expected keyword argument {metric.argname!r}, but was "
            f"given {listing(kwargs)}. Write update({metric.argname}=...), or name the argument "
            f"when making the metric, {type(metric).__name__}('name')."
        )
    return kwargs[metric.argname]


@struct.dataclass
class Statistics:
    """Mean, standard error of the mean, and standard deviation."""

    mean: Any
    standard_error_of_mean: Any
    standard_deviation: Any


class Welford(Metric):
    """Mean and spread of all values, by Welford's algorithm.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979), equations 2.1.

    Args:
        argname: the keyword argument under which ``update`` finds the values.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> spread = nnx.metrics.Welford()
    >>> spread.update(values=jnp.array([1.0, 3.0]))
    >>> print(spread.compute().standard_deviation)
    1.0
    """

    def __init__(self, argname: str = "values") -> None:
        self.argname = argname
        self.count = MetricState(jnp.array(0, dtype=jnp.int32))
        self.mean = MetricState(jnp.array(0, dtype=jnp.float32))
        self.m2 = MetricState(jnp.array(0, dtype=jnp.float32))

    def reset(self) -> None:
        """Forget all values."""
        self.count[...] = jnp.array(0, dtype=jnp.int32)
        self.mean[...] = jnp.array(0, dtype=jnp.float32)
        self.m2[...] = jnp.array(0, dtype=jnp.float32)

    def update(self, **kwargs: Any) -> None:
        """Take values in.

        Raises:
            TypeError: there is no argument of the name that the metric was made with.
        """
        values = jnp.asarray(_argument(self, kwargs))
        count = values.size
        before = self.count[...]
        self.count[...] += count
        delta = jnp.mean(values) - self.mean[...]
        self.mean[...] += delta * count / self.count[...]
        m2 = jnp.var(values) * count
        self.m2[...] += m2 + delta * delta * count * before / self.count[...]

    def compute(self) -> Statistics:
        """Return mean, standard error and standard deviation."""
        variance = self.m2[...] / self.count[...]
        deviation = variance**0.5
        return Statistics(
            mean=self.mean[...],
            standard_error_of_mean=deviation / self.count[...] ** 0.5,
            standard_deviation=deviation,
        )


class Accuracy(Average):
    """How often the largest logit is that of the label.

    Args:
        threshold: for logits of two classes, one number each: above it the class is 1.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> accuracy = nnx.metrics.Accuracy()
    >>> accuracy.update(logits=jnp.eye(4), labels=jnp.array([0, 1, 2, 0]))
    >>> print(accuracy.compute())
    0.75
    """

    def __init__(self, threshold: float | None = None, *args: Any, **kwargs: Any) -> None:
        if threshold is not None and not isinstance(threshold, float):
            raise TypeError(
                f"Accuracy was given threshold={threshold!r}, a {type(threshold).__name__}; it is "
                "a float, above which a logit stands for class 1, or None for several classes."
            )
        self.threshold = threshold
        super().__init__(*args, **kwargs)

    def update(  # type: ignore[override]
        self, *, logits: Any, labels: Any, mask: Any = None, **_: Any
    ) -> None:
        """Take a batch in.

        Args:
            logits: ``(..., classes)``; ``(...)`` where a threshold is used.
            labels: ``(...)``, int32.
            mask: ``(...)``, where it is false, an example does not count.

        Raises:
            ValueError: shapes or dtypes do not fit.
        """
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        binary = self.threshold is not None
        wanted = labels.ndim if binary else labels.ndim + 1
        if logits.ndim != wanted:
            form = "labels.ndim" if binary else "labels.ndim+1"
            raise ValueError(
                f"For {'binary' if binary else 'multi-class'} classification, expected "
                f"logits.ndim=={form}, but logits have shape {tuple(logits.shape)} and labels "
                f"{tuple(labels.shape)}."
            )
        if labels.dtype not in {jnp.dtype(np.int32), jnp.dtype(np.int64)}:
            raise ValueError(
                f"Expected labels.dtype==jnp.int32, got {labels.dtype}: labels are numbers of "
                "classes. Write labels.astype(jnp.int32)."
            )
        predicted = logits > self.threshold if binary else logits.argmax(axis=-1)
        super().update(values=(predicted == labels), mask=mask)


class MultiMetric(Metric):
    """Several metrics, updated with one call and computed as a dictionary.

    Args:
        **metrics: the metrics, by name.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> metrics = nnx.MultiMetric(
    ...     accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss")
    ... )
    >>> metrics.update(logits=jnp.eye(2), labels=jnp.array([0, 1]), loss=jnp.array(0.5))
    >>> {name: float(value) for name, value in metrics.compute().items()}
    {'accuracy': 1.0, 'loss': 0.5}
    """

    def __init__(self, **metrics: Any) -> None:
        self._metric_names = list(metrics)
        for name, metric in metrics.items():
            if isinstance(metric, type) or not callable(getattr(metric, "update", None)):
                raise TypeError(
                    f"MultiMetric was given {name}={short(metric)}, which is no metric. Pass one, "
                    f"such as {name}=nnx.metrics.Average({name!r})."
                )
            setattr(self, name, metric)

    def reset(self) -> None:
        """Reset every metric."""
        for name in self._metric_names:
            getattr(self, name).reset()

    def update(self, **updates: Any) -> None:
        """Update every metric with the same arguments; each takes those that it knows.

        Args:
            **updates: the arguments. A ``mask`` that is a dictionary has one for each metric that
                it names, and none for the others.
        """
        mask = updates.get("mask")
        masks = updates.pop("mask") if isinstance(mask, Mapping) else {}
        for name in self._metric_names:
            own = {"mask": masks[name]} if name in masks else {}
            getattr(self, name).update(**updates, **own)

    def compute(self) -> dict[str, Any]:
        """Return the value of every metric, by name."""
        return {name: getattr(self, name).compute() for name in self._metric_names}
