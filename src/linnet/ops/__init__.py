"""Pure numerics: arrays in, arrays out, compiled once for each configuration and shape.

Here stands every piece of arithmetic that a layer does, once, for both façades. An op knows
nothing of modules, variables or streams: what it needs it is given, what it changes it returns (the
running statistics of a batch normalisation, the cache of decoding). Its arrays come first and may
be traced, differentiated and mapped; its configuration comes by keyword, is static, and keys the
cache of traces. ``linnet.ops.op`` says how an op is made, and what a hook is.

Where Linen and NNX compute the same thing in two ways, the difference is a keyword of the one op
and each façade passes its own default.
"""
