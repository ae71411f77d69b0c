"""A project's dashboard as one page: drawn from what CloudWatch's dashboard says, and from what monitoring keeps."""
