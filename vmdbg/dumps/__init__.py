"""Memory of real computers, from files: raw images, ELF cores, LiME; and machines that are made of it."""
