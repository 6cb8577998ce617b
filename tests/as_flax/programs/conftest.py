"""Nothing here is collected: the programs import packages that the tests do without."""

collect_ignore_glob = ["*.py"]
