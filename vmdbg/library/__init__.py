"""vmdbg as a library: an MMU on memory of the caller's, and sessions without a prompt.

Nothing here decides anything: it hands over what the layers below have found.  The package `vmdbg` has the
names that are meant for users, and says in which of these modules each is.
"""
