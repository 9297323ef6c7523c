"""One file a subject.  A file is a command module by being here; the registry finds it."""
