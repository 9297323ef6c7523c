# x/NFU: units, forms, continuation, errors.
x/4xb 0x1000
x
x/2c
x
x/3dh
x
x/2ug 0x1400
x/8xb 0x13fc
x/2xg 0x13f8
x/xg 0x13f9
x/s 0x1000
x
x/2s
x/s 0x13f0
x/4c 0x1000
x/9c 0x1000
x/9xb 0x1000
x/5xh 0x1000
x/9xh 0x1000
x/5xw 0x1000
x/3xg 0x1000
x/4dw 0x1000
x/4uw 0x1000
x/4ow 0x1000
x/2tw 0x1000
x/4tb 0x1000
x/3th 0x1000
x/2tg 0x1000
x/2a 0x1000
x/2f 0x1000
x/2fw 0x1000
x/2fg 0x1000
x/2fh 0x1000
x/2fb 0x1000
x/2zw 0x1000
x/2zb 0x1000
x/2cw 0x1000
x/2ch 0x1000
x/2dc 0x1000
x/2ob 0x1000
x/2oh 0x1000
x/2og 0x1000
x/3sb 0x1000
x/2sh 0x1000
x/2sw 0x1000
x/-4xb 0x1010
x/-4xw 0x1010
x/-2xg 0x1010
x
x/-4xb 0x1002
x/-4xw 0x1002
x/0x 0x1000
x/r 0x1000
x/4
x/q 0x1000
x/4q 0x1000
x/xq 0x1000
x/xx 0x1000
x/x
x/x 0x1000
p $_
p $__
whatis $_
whatis $__
x/2xg 0x1000
p $_
p $__
whatis $_
whatis $__
p $_exitcode
x/2s 0x1000
p $_
p $__
whatis $_
whatis $__
x &*(int*)0x1010
x (int*)0x1010
x/x (char*)0x1010
x/s (char*)0x1010
x {int}0x1000
x 5
x -1
x 0x1000@2
x *0x1000@2
x $nope
x nope
x 1.5
x "abc"
x/2x
x/2
x/3xb -1
x/4xb 0xfffffffffffffffe
x/4xw 0x13fa
x 4096
x/d
x/u
x/a
x/c
x/f
x/s
x/x
x/b
x
x/g
x/w
x/h
x/x $_
x/2wx $__
x/2xw 0x1000
x/x $__
output 5
x/2xw 0x1000 + 4
x/2xw 0x1000, 5
x 
x/100xb 0x13f0
x/2xw (long)0x1000
x/2xw (char)1
x/s *(char*)0x1000@3
x/2ws 0x1000
x/1xz 0x1000
x/a 0x11f0
x/300s 0x13ff
p (int)*0x1000@2
p &(int)*0x1000
p (char*)*(char**)0x1000@1
p &(char*)*(int**)0x1000
p &(long)*(int*)0x1000
p &(unsigned)*(int*)0x1000
p &(float)*(int*)0x1000
p &(long)*(char**)0x1000
p &(const int)*0x1000
p (unsigned)*0x1000@2
p (int)1 = 5
p &(char[4])*0x1000
p (char[4])*0x1000
p (char[8])*0x1000
p (char[])*0x1000
p &(char[])*0x1000
p *0x1000@3
p $@1
p $[1]
p &$$[1]
p &$$3
p (long)&tail
p *(char*)&tail
p (char*)&tail
p (int*)&tail
p (char*)0x1804
p/a 0x1804
p/a 0x1800
p/a 0x17ff
p/a 0x1840
x/2xb 0x1800
x/10xb 0x17fc
x/2s 0x1800
x/a 0x1800
p (void*)0x1803
output/a 0x1801
p/a {0x1801,0x1000}
x/2dw &tail
p $_
p/x {int[3]}0x1000
p {char*}0x1168
p nope
p 1 + nope
p nope nope
p nope + 08
p 08 + nope
p 1/0 + nope
p $x = nope
p 0 && nope
p sizeof(nope)
x/2x nope
p (nope
p nope)
p {nope}5
p {int}nope
p "abc
p $_streq(nope, 1
p 1 + "abc
p $_isvoid(1 +
p $_isvoid(1 2)
p $_isvoid(1,)
p $_isvoid
p $_isvoid(1)(2)
p $_isvoid[1]
p -$_isvoid
p !$_isvoid
p $_isvoid == 1
p &$_isvoid
p *$_isvoid
p sizeof($_isvoid)
x $_isvoid
