# print/FMT, output/FMT, the history and variables of each operator.
p $a={1,2,3}
p $a
p $a[1]
p/x 65
p/d 65
p/u 65
p/o 65
p/t 65
p/a 65
p/c 65
p/f 65
p/s 65
p/z 65
p/r 65
p/x -1
p/d -1
p/u -1
p/o -1
p/t -1
p/a -1
p/c -1
p/f -1
p/s -1
p/z -1
p/x 0
p/o 0
p/t 0
p/z 0
p/a 0
p/c 0
p/c 300
p/c 200
p/c -200
p/c 65l
p/c (short)65
p/x (char)-1
p/x (short)-1
p/x -1l
p/d 0xffffffff
p/d 4294967295
p/u (char)-1
p/t (char)5
p/z (char)5
p/z (short)5
p/z 5l
p/f 1
p/f 1l
p/f 0x3f800000
p/f 0x3ff0000000000000
p/f (short)5
p/f (char)5
p/x 1.5
p/d 1.5
p/c 65.5
p/f 1.5
p/t 5.9
p/u -1.5
p/x -1.5
p/a 1.5
p/o 9.9
p/z 1.5
p/s 1.5
p/x 1.5f
p/x 1e30
p/x "abc"
p/d "abc"
p/c "abc"
p/s "abc"
p/u "abc"
p/a "abc"
p/x "aaaaaaaaaaaaaaaaaaaa"
p/d "aaaaaaaaaaaaaaaaaaaabc"
p/x (char*)0x1000
p/s (char*)0x1000
p/d (char*)0x1000
p/c (char*)0x1000
p/a (char*)0x1000
p/u (char*)0x1000
p/f (char*)0x1000
p/t (char*)0x1000
p/z (char*)0x1000
p/o (int*)0x1000
p/s (int*)0x1000
p/z 0x1000
p/x *0x1000@3
p/c *(char*)0x1000@3
p/d *(char*)0x1000@3
p/s *(char*)0x1000@3
p/x *(char*)0x1000@3
p/s *(unsigned char*)0x1000@3
p/s *(int*)0x1000@3
p/3x 5
p/i 5
p/3i 5
p/xd 5
p/xb 5
p/bx 5
p/2 5
p/g 5
p/gx 5
p/w 5
p/q 5
p/xx 5
p/y 5
p/x
p/
p/ 5
p/r
p/x $nope
p/c $nope
p/d $nope
p/f $nope
p/x $_streq
p/x (void)5
p/f 10/3.0
p/x sizeof(int)
p/c 'a'
p/x 'a'
p 'a'+0
p/s 'a'
p/d 'a'
p/t 'a'
p/o 'a'
p/x {1,2}
p/c {65,66}
p/x 1==1
p/-3x 5
p/a 0x1000
p/a main
p/x -5
p/o -5
p/o 8
p/t 255
p/t -1l
p/u 18446744073709551615
p/d 18446744073709551615
p/x 18446744073709551615
p/c 18446744073709551615
p/f 18446744073709551615
p/f -1l
p/f -5
p/f 5u
p/raw 5
p/rx 5
p/xr 5
p/sx 5
p -5
p -nope 5
p
output 5
output/x 255
output $
output nope
x/-3s 0x115b
x/s 0x1000
x/-2xb 0x1100
x
x/2
x/-2
x
x/-2xw
x/3xg 0x1000
x/-2
x
x/0xw 0x1010
x/w
x/4c 0x1010
x/4c 0x1148
x/4dw 0x1164
x/2f 0x1000
x/2fw 0x11a0
x/ob 0x1148
x/tb 0x1148
x/cb 0x101a
x/db 0x101a
x/ub 0x101a
x/c 0x101a
x/ch 0x1019
p/c *(char*)0x101a
p/x *(char*)0x101a
p (char*)0x1014
x/s 0x1014
p $_streq("x","x")
p/x $_
x/xb 0x101a
p $__
p/d $__
p/x $__
p $_+1
x/xw 0x101a
p $_+1
p $__+1
p &$__
x/2xw &$__
p *$_
p $_[1]
show values
show values 2
show values +
p $_siginfo
p $_exitcode
p 18446744073709551615+1
p 4294967295u+1
p 1.5+1.5f
p sizeof(1.5f)
p sizeof(1.5l)
p -5 / 2
p -5 % 2
p 5 % -2
p -5l % 3u
p 5u % -3
p 'a' * 2
p "abc"[0] + 1
p !'a'
p (char)0
p (char)7
p (char)8
p (char)9
p (char)11
p (char)12
p (char)13
p (char)27
p (char)127
p (char)128
p '\\'
p "\a\b\f\n\r\t\v\e\0"
p "\e"
p '\e'
p "\q"
p "\x414243"
p '\x4142'
p "\u0041"
p '\400'
p "\400"
p '\08'
p "\9"
p "a\
p "\"
p "abc\x"
p '\x'
p '\'
p $1 + $2
p $$ + $
p $ + 1
p $$3
p $1[0]
p $_foo
p $_foo = 5
p $x.y
p $5x
p $
p $x=5,$x+1
p ($x=5)+1
p $x=1.5
p $x+=1
p $x/=2
p $x=5u
whatis $x
p $x-=6
p $x<<=3
p $x>>=2
p $x|=1
p $x&=7
p $x^=2
p $x%=4
p $x*=3
p $x=(char)65
p $x++
p $x
p $x+=300
whatis $x
p $x=1
p $x=$x++ + 1
p 5 = $x
p $x = $nope
whatis $x
p $x = 5 = 6
p ($x) = 7
p +$x = 7
p $1 = 5
p $ = 5
p $$ = 5
set var $x = 9
p $x
set $y = 3
p $y
p $y
p $z
p $q
p $q
output $q
