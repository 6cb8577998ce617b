"""What a person looks at: tables of a model, descriptions of values, counts of operations."""
