# find: ranges, types and sizes of values, what it leaves in $_ and $numfound
info watchpoints 5
info watchpoints
info breakpoints 1-3
info watchpoints
info breakpoints 3-1
p -x -- 5
p -elements 4 -x -- 5
call -x -- 5
p/x/d 5
x/w2x 0x1000
p/x5 3
p/-5x 3
p/x$_
output/x/d 5
display/x/d 5
x/2/x 0x1000
print/ 5
x/ 0x1000
p/x/
find 0x1ff0, 0x1fff, 0
find 0x1ff0, +0x10, 0
find 0x1800, 0x1900, "tail"
find &tail, +0x10, (char)'t'
find 0x1000, +0x200, 0x11223344, (short)1
find 0x1000, +0x800, (short)0x7788
find/1 0x1000, +0x800, (char)0x61
find /h 0x1000, +0x800, 0x7788
find /1h 0x1000, +0x800, 0x7788
find /h1 0x1000, +0x800, 0x7788
find /bh 0x1000, +0x800, 0x77
find /0 0x1000, +0x800, 'a'
find 0x1000 +0x800 'a'
find 0x1000, +0x800,
find 0x1000, +0, 'a'
find 0x1000, +0x800, {char[2]}0x1000
find 0x1000, +0x800, $nosuch
find 0x1000, +5, "hello"
find 0x1000, +4, "hello"
find 0x1000, +0x800, 3.25
find 0x1000, +2, 1, 2, 3
p $_
p $numfound
p $__
whatis $_
whatis $numfound
find /g 0x1000, +0x800, 0x1122334455667788
find
find 0x1000
find 0x1000,
find ,
find /
find 0x1000, 0x10
find 0x1000, +0x800
find /x 0x1000, +0x10, 1
find /b 0x1000, +0x40, 0x61, 0x61
find /2b 0x1000, +0x200, 0x61, 0x61
find /w 0x1000, +0x800, 0xdeadbeef
find 0x1000, +0x800, -7
find /h 0x1000, +0x800, -9
find/g 0x1000, +0x800, -5
p $numfound
p *(long *)$_
find 0x1000, +0x100, 'h', 'e'
find 0x1000, 0x1100, "hello, world"
init-if-undefined
init-if-undefined $once = 5
p $once
init-if-undefined $once = 6
p $once
init-if-undefined $once
init-if-undefined $once += 5
init-if-undefined $once == 5
init-if-undefined 5 = 6
info address
info address nosuch
info symbol
info symbol 0
info symbol 0x1900 - 0x1900
commands 9
delete 9
disable 9
enable 9
condition 9
ignore 9
info breakpoints 9
clear *0x1000
p/xd 5
p/x -5
p /x -5
p/2x 5
x/3xb 0x1000
x/b2x 0x1000
x/-2xb 0x1010
p/c65
p/x(5)
p/x"ab"
output/d0x41
