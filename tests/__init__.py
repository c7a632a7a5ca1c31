"""The tests: a file a module, and the servers that they run against."""
