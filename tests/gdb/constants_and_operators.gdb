# Numbers, operators, precedence, history and variables.
p sizeof(long)
p sizeof(char*)
whatis sizeof(int)
whatis 2147483648
whatis 0x80000000
whatis 0xffffffff
whatis 4294967296
whatis 0x100000000
whatis 9223372036854775808
whatis 0x8000000000000000
p 9223372036854775808
p 18446744073709551615
p 18446744073709551616
whatis 5u
whatis 5ul
whatis 5l
whatis 5ll
whatis 5ull
whatis 5lu
whatis 5lul
p 5lll
p 5uu
p 08
p 09
p 0x
p 0b
p 0b2
p 0b101
p 0xg
p 0t10
p 0d10
p 0d
p 12abc
p 1_000
p 1.5
p 1.5f
whatis 1.5f
whatis 1.5
whatis 1.5l
p 1e3
p .5
p 5.
p 1.5e
p 1.5x
p 0x1p3
p 0x1.8p3
p 10/3.0
p 10.0
p 1e100
p 1.0/3
p 1/0
p 1%0
p 1.0/0
p 1.0%2
p -1.0/0
p 0.0/0
p 1<<3.0
p ~1.5
p !1.5
p -1.5
p 1.5==1.5
p 1.5&1
p 5 % 2.0
whatis 1.5+1
whatis 1.5f+1
whatis 1==1
whatis !1
whatis 'a'
whatis 'a'+1
whatis (char)1+(char)1
whatis 1u+1
whatis 1l+1u
whatis 1ul+1
whatis 1<<3l
whatis 1l<<3
whatis 1?2:3l
p 1?2
p 1?2:3l
p -5%3
p -5/3
p 5u/-1
p -1/2u
p -1>>1
p -1u>>1
p 1<<31
p 1<<32
p 1<<33
p 1l<<63
p 1l<<64
p 1<<-1
p 1>>-1
p 1>>32
p -1>>32
p -1>>31
p -1l>>64
p 1u>>40
p 2147483647+1
p 2147483647*2
p 0x7fffffff*2
p 1>2
p 1>-1u
p 1&&0
p 1||0
p !5
p ~0
p ~0u
p +5
p - -5
p 1,2
p (1,2)
p 3 = 4
p 3 += 4
p 3++
p ++3
p $a=5
p $a+=2
p $a++
p $a
p ++$a
p $a--
p --$a
p -$a
p $b
p $b+1
p -$b
p !$b
p ~$b
p $b && 1
p $b == 1
p $b == $c
p $b++
p $b += 1
p $a = $b
p $a
p &$a
p *$a
p sizeof $a
p sizeof($b)
p sizeof(void)
p sizeof 5
p sizeof(5l)
p sizeof
p sizeof(
p sizeof()
p alignof(int)
p *(char*)0x1000@13
p *(char*)0x1000@14
p *(char*)0x1000@15
p {char[5]}0x1008
p "abc\0"
p "abc\0\0"
p "\0"
p ""
p "\0\0"
p "a\0b"
p "\0001"
p "\377\376"
p "\001\0012"
p "a\377"
p *(char*)0x101c@250
p *(char*)0x101c@200
p *(char*)0x101c@201
p *(char*)0x101c@9
p *(char*)0x101c@10
p *(char*)0x101c@11
p (char*)0x101c
p (char*)0x1148
p *(char*)0x1148@10
p *(char*)0x1140@40
p "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbccc"
p "abcaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbccc"
p "ababababababababababababababab"
p "\n\n\n\n\n\n\n\n\n\n\n\n\n"
p "'''''''''''''"
p "\"\"\"\"\"\"\"\"\"\"\"\"\""
p *(int*)0x101c@60
p *(int*)0x1160@250
p *(short*)0x101c@9
p *(short*)0x101c@10
p/x *(char*)0x101c@250
p/x *(unsigned char*)0x1000@201
p {unsigned char[3][4]}0x101c
p {int[12][2]}0x101c
p {int[2][2]}0x1000
p/x {int[2][2]}0x1000
whatis {int[2][2]}0x1000
whatis {int[2][2]}0x1000 + 1
p {int[2][2]}0x1000 + 1
p *{int[2][2]}0x1000
p {int[2][2]}0x1000[1]
p ({int[2][2]}0x1000)[1]
p ({int[2]}0x1000)[1]
p ({int[2]}0x1000)+1
p *({int[2]}0x1000+1)
p &{int[2]}0x1000
p &({int[2]}0x1000)[1]
p sizeof(int[2][3])
p (char[4])65
p (char[4])0x41424344
p (unsigned char[4])0x41424344
p (short[2])0x41424344
p/x (short[])0x41424344
p/x (char[])0x41424344
p/x (short[])0x4142434445464748
p (int)"abc"
p (long)"abcdefg"
p (char)"abc"
p (int)(char*)0x1000
p (long)(char*)0xffffffffffffffff
p (char*)-1
p (char*)(int)-1
p (char*)(unsigned)-1
p (char*)1.5
p (double)(char*)5
p (float)1/3
p (float)16777217
p 1.0f/3
p 1e400
p 123456789.123
p 0.1
p 1e16
p 1e17
p 123456789012345678.0
p 1e-5
p 0.0001
p -0.0
p 1.5l
p 1/3.0f
p 5 > 3 > 1
p 1 == 1.0
p 1.5 > 1
p -1 < 0u
p -1l < 0u
p -1 == 0xffffffff
p (char)-1 == 0xff
p 5 & 3 == 1
p 1 | 2 ^ 3 & 4
p 1 + 2 << 3
p 1 ? 2 : 3 ? 4 : 5
p 1 , 2 = 3
p $a = $b = 5
p $a
p !$a == 0
p ~5 + 1
p - 5 - - 5
p 5--3
p 5 - -3
p 5++3
p 1 << 2 << 3
p 100 / 10 / 2
p 2 * 3 % 4
p *0x1000 @ 2 + 1
p *0x1000 @ 1 + 1
p 1 + *0x1000@2
p *0x1000@2 == 1
p $a @ 2
p 1 + 5 @ 2
p *0x1000@(int)2
p *0x1000@2l
p *0x1000@2.5
p *0x1000@100000
p *0x1000@1000000000
p -2147483648
whatis -2147483648
whatis 2147483647+1
p -9223372036854775808
p 0x7fffffffffffffff+1
p -2147483648/-1
p -2147483647-1
p (-2147483647-1)/-1
p (-2147483647-1)%-1
p 0xffffffffu*0xffffffffu
p 5l*0xffffffffffffffff
p (char)200+(char)200
p (unsigned char)200+(unsigned char)200
p -(unsigned char)5
p ~(unsigned char)5
p !(unsigned char)5
whatis -(char)5
whatis ~(short)5
whatis +(char)5
whatis (char)5 << 1
whatis (char)1 ? (char)1 : 5
whatis 1 , 2l
whatis $a = 5l
whatis $a++
whatis 1 && 2l
whatis 1.5 && 1
whatis (char*)0x1000 + 1
whatis (int*)8 - (int*)4
whatis 'a' == 'b'
whatis 1l == 1l
whatis &*"abc"
whatis 1 ? 2 : "abc"
whatis (long)1 + 1.5f
whatis 1.5f + 1.5
whatis (unsigned short)1 + (unsigned short)1
whatis 1 + 1ll
whatis 1l + 1ll
whatis 1ul + 1ll
whatis 1u + 1ll
whatis 0x7fffffffffffffff
whatis 0777
whatis 037777777777
whatis 0b11111111111111111111111111111111
whatis 4294967295
whatis 4294967295u
whatis 4294967296u
whatis 5 @ 2
whatis *0x1000
whatis struct foo
whatis nope
whatis 1/0
whatis $b
p sizeof(1/0)
p sizeof($a=7)
p $a
p sizeof($a++)
p $a
p 0 && $a++
p 1 || $a++
p 0 ? $a++ : 1
p $a
p
p $
output $
p $+1
p $$
p $1
p $$2
p $0
p $$1
show values
x
x/s
x/2
p $_
p/r 5
p -5
p $$1
p $$2
p $$
p $1
p $2
p $3
p $-1
p/c
p/x *(char*)0x1160@300
p *(char*)0x1160@300
p *(char*)0x1020@250
p *(char*)0x1010@300
x/2ah 0x1019
x/2ab 0x1019
x/2fb 0x1019
x/2fh 0x1018
x/2ub 0x1019
x/2zb 0x1019
x/2oh 0x1018
x/2dg 0x116c
x/2ug 0x116c
x/a 0x116c
x/f 0x1170
x/3s 0x1160
x/s 0x13fe
x
x/2s 0x13fe
x/xb 0x1148
x/xw $_
x/xw $_+1
p $_
p (int)$nope
p (char)$nope
p (int*)$nope
p *0x1000l
whatis *0x1000l
whatis *(char)1
p *1.5
p $nope[1]
p $_streq[1]
p 5@0
p 5@$nope
p *0x1000@$nope
p 1 < $nope
p $nope < 1
p $nope < $nope
p $nope == 0
p $nope != 0
p $nope || 0
p $nope ? 1 : 2
p $nope, 1
p $nope << 1
p $nope & 1
p $nope - 1
p 1 - $nope
p $nope - $nope
p (int*)8 < 9
p (int*)8 < (char*)9
p (int*)8 < 9.5
p (int*)8 == 8.0
p (int*)8 + 1.5
p (int*)8 - 1l
p (int*)8 + $nope
p (int*)8 * 1
p (void*)8 + 1
p (void*)8 - (void*)4
p (int(*)())8 + 1
p 'abc'
p 'abcd'
p 'foo'
p 'a'b
p "a"5
p 5"a"
p (5)5
p (int)5 5
p (5)(5)
p (5)-5
p ($x)-5
p !1 == 1
p sizeof(int)*2
p sizeof (int)5
p sizeof -5
p sizeof (char)5
p sizeof sizeof 5
p &
p &&1
p 1 && && 1
p *
p 5 -> a
p $x::y
p a::b
p 1 : 2
p 1 ? : 2
p 1.
p .
p ..
p 5 .
p $.
p $$.
p -
p ++
p 1 ++ ++
p $x=5
p $x++ ++
p ++$x++
p - -$x
p -$x++
p !$x--
p ~$x+1
p 1<<2+3
p 1|2&&0
p 1<2==1
p 6/2*3
p 6%4/2
p 1?0?1:2:3
p 1?$x=2:3
p 0?1:$x=2
p $x=1?2:3
p (1?2:3)=4
p $x=1,2
p $x
p 1 +
p (
p ((1)
p ()
p {1,}
p {int}5 6
p {int}+5
p {$x}5
p {1}5
p {5}+1
p {1,2}@2
p sizeof({1,2})
p (int[2]){1,2}
p 5,
p 1==2==0
p 0x1000->b
p 07.5
p 0x.8
p 1e
p 1e+
p 12e3f
p 1f
p 1.f
p 1l.5
p 1.5ll
p 1.5u
p 0b
p 0b1.5
p 0xffffffffffffffffff
p 077777777777777777777777
p 1e5l
p 0x1f
p 0o17
