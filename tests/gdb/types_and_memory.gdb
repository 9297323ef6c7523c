# Casts, pointers, arrays, strings, and what is no expression.
x/s 0x1000
x/4gx 0x1000
p foo
p (char)65
p (unsigned char)200
p (signed char)200
p (char)200
p (short)70000
p (unsigned short)-1
p (unsigned)5
p (unsigned int)-1
p (long)-1
p (unsigned long)-1
p (long unsigned int)-1
p (long long)1
p (unsigned long long)1
p (long int)1
p (short int)1
p (int short)1
p (signed)1
p (signed long)1
p (int unsigned)1
p (long double)1
p (float)1.1
p (double)1
p (double)1/3
p (int)1.9
p (int)-1.9
p (char*)0x1000
p (char*)0
p (char*)0x5000
p (int*)0x1000
p (void*)0x1000
p (unsigned char*)0x1000
p (int**)0x1000
p *(int*)0x1000
p *(char*)0x1000
p *(char**)0x1000
p *(void*)0x1000
p *(int*)0
p (int*)0x1000+1
p (int*)0x1000-1
p 1+(int*)0x1000
p 1-(int*)0x1000
p (int*)0x1010-(int*)0x1000
p (int*)0x1010-(char*)0x1000
p (int*)0x1010+(int*)0x1000
p (int*)0x1010*2
p (int*)0x1010==0x1010
p (int*)0x1010==(char*)0x1010
p (int*)0x1010>1
p !(int*)0x1010
p ~(int*)0x1010
p -(int*)0x1010
p +(int*)0x1010
p (int*)0x1010&1
p (int*)0x1010&&1
p (int*)0x1010|(int*)1
p ((int*)0x1000)[1]
p 1[(int*)0x1000]
p 5[3]
p &*(int*)0x1000
p &((int*)0x1000)[1]
p &5
p *5
p *0x1000
p **0x1000
p *0x1000@4
p/x *0x1000@4
p *0x1000@0
p *0x1000@-1
p 5@2
p $a@2
p (*0x1000)@4
p *(char*)0x1000@5
p *(char*)0x1000@50
p *(unsigned char*)0x1000@50
p {int}0x1000
p/x {long}0x1000
p {char}0x1000
p {char*}0x1000
p {unsigned long}0x1000
p {int[4]}0x1000
p {char[5]}0x1000
p {int}0x1000@2
p {int}
p {int
p {5}
p {int}0
p {void}0x1000
p sizeof({int[4]}0x1000)
p sizeof(int[4])
p sizeof(int*)
whatis {int[4]}0x1000
whatis (int*)0x1000
whatis *0x1000@4
whatis int
whatis int*
whatis unsigned
whatis long unsigned
whatis long long int
whatis char
whatis signed char
whatis "abc"
whatis (char*)0x1000
whatis (int**)0x1000
whatis &*(int*)0x1000
whatis $a
whatis $_streq
p int
p unsigned
p (int)
p (int)5 + 3
p (int)(5)
p (int)-5
p (int) foo
p foo+1
p foo(1)
p 5(1)
p $foo(1)
p "abc"
p "abc" "def"
p "abc"[1]
p *"abc"
p &"abc"
p "abc"+1
p sizeof("abc")
p "a\nb\tc\033\x41\101\"q\\"
p '\n'
p '\033'
p '\x41'
p '\''
p '"'
p "'"
p ''
p 'ab'
p 'a
p "abc
p '\0'
p '\377'
p 1@
p #
p 1 # c
p 1 ! 2
p 1 $ 2
p 1 1
p )
p (1
p 1)
p 1+
p +
p *
p 1 ? 2 : 
p ,
p 1 =
p ;
p 1;
p \
p `
p ?
p 5 5 5
p a.b
p 5.b
p $a.b
p $a->b
p {1,2,3}
p {1,2
p/x {1,2,3}
p {1,"a"}
p % 2
p ] 2
p 1]
p = 1
p 1 = = 2
p 1 @ @ 2
p 1 + @ 2
p [
p 1[2
p {
p }
p 1}
p (char
p (char*
p (char)
p (char **)5
p (char 5
p (unsigned char
p int 5
p int + 1
p 5 int
p 5 + int
p sizeof int
p sizeof (int) + 1
p sizeof (5) + 1
p -sizeof(int)
p (int[3])5
p (int(*)[2])0x1000
p *(int(*)[2])0x1000
p (int(*)())0x1000
p {int*[2]}0x1000
p {int}{long}0x1000
p -{int}0x1000
p {int}0x1000+1
p {int}0x1000 + {int}0x1004
p {unsigned char[2][3]}0x1000
p {int [2]}0x1000
p {const char}0x1000
p (const char *)0x1000
p (char const *)0x1000
p (volatile int)5
p (const int)5
whatis (const int)5
p (void)5
p (struct foo)5
p (struct foo *)5
p (enum x)5
p (unsigned foo)5
p sizeof(struct foo)
p (long long long)5
p (unsigned float)5
p (unsigned signed)5
p (short long)5
p (unsigned long long int)5
p (long unsigned long)5
p (long long unsigned int)5
p (long signed int)5
p (int long)5
p (short unsigned)5
p (short unsigned int)5
p (short signed int)5
p (unsigned short int)5
p (signed short)5
p (signed long long int)5
p (double long)5
p (unsigned double)5
p (signed char)5
p (char signed)5
p (char unsigned)5
p (__int128)5
p (unsigned __int128)5
p (wchar_t)5
p (restrict int)5
p 1 if
p if
p true
p false
p not 1
p 1 and 2
p 5 xor 3
p 1 or 0
p bitand
p this
p NULL
p sizeof(1)[2]
p "a"[0]
p "abc"@2
p *"abc"@2
p "abc"=="abc"
p "abc"=="abd"
p !"abc"
p "abc"&&1
p -"abc"
p "abc"+"def"
p {1,2}+1
p {1,2}=={1,2}
p !{1,2}
p {1,2}[0]
p {1,2}[2]
p {1,2}[-1]
p "abc"[3]
p "abc"[4]
p "abc"[10]
p (*0x1000@4)[1]
p (*0x1000@4)[10]
p *0x1000@4 = 5
p $a = *0x1000@4
p $a[1]
p $a
p $a[9]
p $s="abc"
p $s
p $s[1]
p $s[1]='z'
p $s
p sizeof($s)
p $p=(int*)0x1000
p *$p
p *$p@2
p $p[1]
p $p++
p $p
p *$p++
p $p+=2
p $p-=1
p $p--
p ++$p
p &*$p
p &$p
p &$p[2]
p $
p $$
p $$2
p $1
p $0
p $$0
p $9999
p $$9999
p $$$
p $1a
p $-1
p $+1
p &$1
p $p==0
p $p!=0
p $_
p $__
p $_exitcode
p $argc
p $_streq("a","a")
p $_streq("a","b")
p $_streq
p $_streq+1
p -$_streq
p $_isvoid($nope)
p $_isvoid(1)
p $_isvoid()
p $_isvoid(1,2)
p $_regex("abc","a.c")
p $_regex("abc","^b")
p $_strlen("abc")
p $_memeq((char*)0x1000,(char*)0x1000,3)
p $_memeq((char*)0x1000,(char*)0x1001,3)
p $_strlen((char*)0x1000)
p $_streq((char*)0x1000,"hello, world")
p $_gdb_setting("height")
p $_gdb_setting("print elements")
p $_gdb_setting("confirm")
p $_gdb_setting("nope")
p $_gdb_setting("print")
p $_gdb_setting(5)
p $_gdb_setting_str("print elements")
p $_gdb_setting_str("confirm")
p $_gdb_setting()
p $_nope(5)
p $a(5)
p $_isvoid
whatis sizeof(int)
whatis sizeof 5
whatis sizeof(5)
whatis sizeof(int*)
p -sizeof(5)
p sizeof(5)-5
p ++$b
p $b--
p $_streq = 5
p $_streq++
p {int[100000]}0x1000
p sizeof(int[100000])
p {short,int}5
p {(char)1,2}
p {(char)1,(char)2}
p {1.5,2.5}
p {"ab","cd"}
p {{1,2},{3,4}}
p {(int*)8,(int*)9}
p {(char*)0x1000,(char*)0}
p/x {(char*)0x1000,(char*)0}
p (long)1.5
p (char)1.5
p (long)1e30
p (unsigned)-1.5
p (unsigned long)1e19
p (int)1e10
p 1.5 ? 1 : 2
p 0.0 ? 1 : 2
p (int*)0 ? 1 : 2
p (float)1e300
p *0x1000 == *0x1000
p *(int*)0x1000@2 == (int*)0x1000
p (void*)0x1000 == 0x1000l
p sizeof($_streq)
p &1
p &"abc"
p &{1,2}
p &*0x1000
p &*5
p &{int}5
p &(*0x1000@2)
p *&*0x1000
p &sizeof(int)
p (int[2])*0x1000
p (long)*0x1000@2
p *(0x1000)@2,5
p 'abc
p 1.5@2
whatis $_+1
p -5u
p (char)65 == 'A'
p 'A' == 65
p 'A' + 'B'
p "A"[0] == 'A'
p $1 == $2
p sizeof(char[3][4])
p {char[2][3]}0x1000
p *{char[2][3]}0x1000
p {char[2][3]}0x1000 == 0x1000
p !*0x1000
p *0x1000 && 1
p $foo()
p $_isvoid ()
p $_isvoid ($foo)
p long
p unsigned char *
p long long unsigned
p const int
p int const
p int[3]
p (int
p int(*)[3]
whatis int(*)[3]
whatis int[3]
whatis unsigned long long int
whatis const char*
whatis char const*
whatis volatile int
whatis int(*)()
whatis int()
whatis (char)1
p (const)5
p (unsigned const)5
p (int) - 5
p (long)(char)200
p sizeof(int)(5)
p 0x1000[1]
p 1, 2, 3
p ($x=1, $y=2)
p $x, $y
p 1 ? 2, 3 : 4
p (1 ? (2, 3) : 4)
p $_isvoid(1 ? 2 : 3)
p $_streq("a" "b", "ab")
p 5 ? 6
p $ = 
p $x = = 5
p * * 5
p **5
p & & 5
p ~~5
p !!5
p -+-5
p - - 5
p ---5
p +++5
p $x+++5
p $x---5
p $x++ + 5
p 5+++$x
