"""What the two façades share about variables: kinds, filters, streams, axis metadata."""
