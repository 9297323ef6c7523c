# printf and echo.
printf "hello\n"
printf "a%db\n", 5
printf "%d %d\n", 1
printf "%d\n", 1, 2
printf "%d\n"
printf hello
printf "hello
printf
printf "%5d|%-5d|%05d|%+d|% d|\n", 1,2,3,4,5
printf "%x %X %#x %o %#o\n", 255,255,255,8,8
printf "%u\n", -1
printf "%d\n", 4294967295
printf "%ld\n", 4294967296
printf "%lld\n", -1
printf "%lu\n", -1
printf "%lx\n", -1
printf "%hhd\n", 300
printf "%hd\n", 70000
printf "%c%c\n", 65, 'b'
printf "%c\n", 0
printf "[%5c]\n", 65
printf "%s\n", (char*)0x1000
printf "%s\n", 0x1000
printf "%s\n", 5
printf "%s\n", 0
printf "%s\n", (char*)0
printf "%s\n", *(char*)0x1000@5
printf "%p\n", 0x1000
printf "%p\n", 0
printf "[%20p]\n", 0x1000
printf "[%-20p]\n", 0x1000
printf "%p\n", (char*)0x1000
printf "%f %g %e\n", 1.5, 1.5, 1.5
printf "%.3f\n", 10/3.0
printf "%10.2f|\n", 1.5
printf "%f\n", 5
printf "%Lf\n", 1.5
printf "%a\n", 1.5
printf "%d\n", 1.9
printf "%x\n", 1.9
printf "%%\n"
printf "%"
printf "%q\n", 5
printf "%n\n", 5
printf "%*d\n", 5, 5
printf "%z\n", 5
printf "%zd\n", 5
printf "%zu\n", 5
printf "%td\n", 5
printf "%jd\n", 5
printf "%5"
printf "%l"
printf "\a\b\f\n\r\t\v\\\"\e\101\n"
printf "\x41\n"
printf "\q\n"
printf "\'\n"
printf "abc" 5
printf "abc", 
printf "abc",
printf "%d", 
printf "%d\n", nope
printf "%d\n", $nope
printf "%s\n", $nope
printf "%d\n", "abc"
printf "%d\n", (1,2)
printf "%d\n", 1 2
printf "%d\n", 1;
printf "%-#x\n", 5
printf "%+s\n", "a"
printf "%0s\n", "a"
printf "%#c\n", 65
printf "%05c\n", 65
printf "%hs\n", "a"
printf "%i\n", 5
printf "%#p\n", 5
printf "%lf\n", 1.5
printf "%V\n", 5
printf "%hhx\n", -1
printf "%hx\n", -1
printf "%llu\n", -1
printf "%llx\n", 0xffffffffffffffff
printf "%d\n", {1,2}
printf "%s\n", {1,2}
printf "%'d\n", 1000000
printf "%.5d\n", 42
printf "%8.3x|\n", 42
printf "%c\n", 200
printf "no newline"
printf ""
printf "a" "b"
printf  "x",5
printf "%s %s\n", "a"
printf "100%\n"
printf "%d%%\n", 5
printf "%5%|\n"
printf "%d\n",,5
printf "%d\n",5,
printf "%d\n",5 , 
echo hello
echo hello\n
echo a\tb\n
echo \   leading\n
echo "quoted"\n
echo a\\b\n
echo \101\102\n
echo \x41\n
echo \e[0m\n
echo \q\n
echo \"\n
echo a\
echo
echo \ \n
echo \1234\n
echo \0a\n
echo \a\b\f\v\r\n
echo \^a\n
echo \8\n
echo \377\n
output 5
output/x {1,2}
