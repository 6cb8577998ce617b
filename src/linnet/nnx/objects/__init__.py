"""What NNX models are built of: variables, objects whose attributes are data or static, modules."""
