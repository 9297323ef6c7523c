"""`vmdbg --grade`: a lab, which is a script with `source -isolated` and `expect`, on many hand-ins."""
