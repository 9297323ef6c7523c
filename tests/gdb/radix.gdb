# set output-radix, input-radix, radix; print array and null-stop; verbose
show output-radix
show input-radix
set output-radix 16
p 10
p -1
p/d 10
p 'a'
p (char)65
p "abc"
p 1.5
p (void*)16
p {1,2}
p 1==1
p (unsigned char)200
p 10000000000
output 10
p $_
p (short)-3
x/2dw 0x1000
x/2w 0x1000
display 10
set output-radix 8
p 10
p -1
p 'a'
p 0
p {1,2}
set output-radix 10
set output-radix 7
set output-radix
set output-radix 0
set output-radix 1
show output-radix
set input-radix 16
p 10
p ff
p 0x10
p 010
p 10.5
p 10 + 10
show input-radix
set input-radix 10
set input-radix 8
p 17
p 19
set input-radix 1
set input-radix 0
set input-radix
set input-radix 020
show input-radix
set input-radix 10
set input-radix 8
set input-radix 0d10
set input-radix 0t10
set input-radix 0xa
show input-radix
set radix
set radix 16
p 10
show input-radix
show output-radix
set radix 8
p 10
set radix 0xa
set radix
set radix 7
set radix 2
set input-radix 2
p 101
p 12
set input-radix 0xa
set input-radix 5
p 44
show print pretty
set print pretty on
p {1,2}
show verbose
set verbose on
show verbose
set verbose off
show editing
set editing off
show editing
show style sources
set print array on
p {1,2}
show print array
set print null-stop on
p "ab\0cd"
show print null-stop
set print null-stop off
set print array off
