"""Expressions as trees: a recursive-descent parser with the precedences of GDB's C."""

# Long: one method for each rule of the grammar.
from __future__ import annotations

from collections.abc import Callable

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import (
    AGGREGATES,
    BEGINNINGS,
    QUALIFIERS,
    SPELLINGS,
    TYPE_WORDS,
    CType,
    array_of,
    function_of,
    pointer_to,
    qualified,
)
from vmdbg.expressions.lexer import (
    CHARACTER,
    DOLLAR,
    END,
    HISTORY_FORM,
    NAME,
    NUMBER,
    STRING,
    Lexer,
    Token,
    parse_number,
)
from vmdbg.expressions.nodes import (
    AddressOf,
    Constant,
    Dereference,
    Field,
    HistoryValue,
    Node,
    Repeated,
    Subscript,
    Symbol,
    Typed,
    TypeName,
    Variable,
)
from vmdbg.expressions.operators import (
    ArrayOf,
    Assign,
    Binary,
    Call,
    Cast,
    Comma,
    Logical,
    SizeOf,
    Step,
    Ternary,
    Unary,
)
from vmdbg.expressions.values import Value, make_string

COMMA, ASSIGNMENT, CHOICE = 1, 2, 3
LEVELS = (
    (",",),
    ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="),
    ("?",),
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", ">", "<=", ">="),
    ("<<", ">>"),
    ("@",),
    ("+", "-"),
    ("*", "/", "%"),
)
PRECEDENCE = {operator: level for level, operators in enumerate(LEVELS, 1) for operator in operators}
MAX_DEPTH = 150
MAX_DIGITS = 18
TOO_DEEP = "memory exhausted"
Knows = Callable[[str], bool]


def parse(text: str, knows: Knows | None = None, radix: int = 10) -> Node:
    """The whole text as one expression (or a type's name).

    `knows(name)` says whether a name is a symbol; the first name that is not raises UserError.  Without it
    all names are accepted.  `radix` is the radix of numbers without a prefix.
    """
    parser = Parser(text, knows, radix=radix)
    node = parser.whole()
    if parser.token.offset < len(text):
        raise UserError("Junk after end of expression.")
    return node


def parse_prefix(
    text: str, knows: Knows | None = None, comma: bool = False, radix: int = 10
) -> tuple[Node, str]:
    """The expression at the beginning of the text, and what follows.

    It ends before the word `if`, a closing bracket, or, with `comma`, a comma outside brackets.
    """
    parser = Parser(text, knows, comma, radix)
    node = parser.whole()
    return node, text[parser.token.offset :]


def parse_list(text: str, knows: Knows | None = None, radix: int = 10) -> list[Node]:
    """The expressions of a list with commas; a comma may end it."""
    nodes = []
    rest = text.strip()
    while rest:
        node, rest = parse_prefix(rest, knows, comma=True, radix=radix)
        nodes.append(node)
        if rest and not rest.startswith(","):
            raise UserError("Junk after end of expression.")
        rest = rest[1:].lstrip()
    return nodes


class Parser:
    """One pass over one text; `token` is the next token, which was not taken yet."""

    def __init__(self, text: str, knows: Knows | None = None, comma: bool = False, radix: int = 10) -> None:
        self.lexer = Lexer(text, comma, radix)
        self.knows = knows
        self.depth = 0
        self.token: Token = self.lexer.next()

    def advance(self) -> Token:
        """Take the next token."""
        token = self.token
        self.token = self.lexer.next()
        return token

    def at(self, symbol: str) -> bool:
        """Whether the next token is this operator or bracket."""
        return self.token.text == symbol and self.token.value is None

    def accept(self, symbol: str) -> bool:
        """Take the next token if it is this one."""
        if self.at(symbol) and self.token.kind != END:
            self.advance()
            return True
        return False

    def expect(self, symbol: str) -> None:
        """Take this token.  UserError if the next is another."""
        if not self.accept(symbol):
            raise self.mistake()

    def mistake(self) -> UserError:
        """GDB's error for a token that cannot stand here."""
        near = self.lexer.text[self.token.offset :]
        return UserError(f"A syntax error in expression, near `{near}'.")

    def whole(self) -> Node:
        """Everything up to the end."""
        try:
            node = TypeName(self.type_name()) if self.at_type() else self.binary(COMMA)
        except RecursionError:
            raise UserError(TOO_DEEP) from None
        if self.token.kind != END:
            raise self.mistake()
        return node

    def binary(self, level: int) -> Node:
        """Operators of at least this precedence."""
        left = self.unary()
        while self.token.kind != END:
            operator = self.token.text
            found = PRECEDENCE.get(operator, 0) if self.token.value is None else 0
            if found < max(level, 1):
                break
            self.advance()
            if found == ASSIGNMENT:
                left = Assign(operator[:-1], left, self.binary(ASSIGNMENT))
            elif found == CHOICE:
                yes = self.binary(ASSIGNMENT)
                self.expect(":")
                left = Ternary(left, yes, self.binary(CHOICE))
            else:
                left = join(operator, left, self.binary(found + 1))
        return left

    def unary(self) -> Node:
        """An operand with its prefix and postfix operators."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UserError(TOO_DEEP)
        try:
            return self.prefixed()
        finally:
            self.depth -= 1

    def prefixed(self) -> Node:
        """An operand with its prefix operator, if it has one."""
        token = self.token
        if token.kind == NAME and token.value is None and token.text == "sizeof":
            self.advance()
            return self.size()
        if token.kind in (NUMBER, STRING, CHARACTER, NAME, DOLLAR, END):
            return self.postfix(self.primary())
        operator = token.text
        if operator in ("-", "+", "!", "~"):
            self.advance()
            return Unary(operator, self.unary())
        if operator in ("++", "--"):
            self.advance()
            return Step(operator, self.unary(), after=False)
        if operator == "*":
            self.advance()
            return Dereference(self.unary())
        if operator == "&":
            self.advance()
            return AddressOf(self.unary())
        if operator == "(":
            return self.bracketed()
        if operator == "{":
            return self.braced()
        raise self.mistake()

    def bracketed(self) -> Node:
        """A cast or an expression in brackets."""
        self.advance()
        if self.at_type():
            kind = self.type_name()
            self.expect(")")
            return Cast(kind, self.unary())
        node = self.binary(COMMA)
        self.expect(")")
        return self.postfix(node)

    def braced(self) -> Node:
        """`{type}address` or `{a, b}`."""
        self.advance()
        if self.at_type():
            kind = self.type_name()
            self.expect("}")
            return Typed(kind, self.unary())
        items = [self.binary(ASSIGNMENT)]
        while self.accept(","):
            items.append(self.binary(ASSIGNMENT))
        self.expect("}")
        return self.postfix(ArrayOf(items))

    def size(self) -> Node:
        """What follows `sizeof`."""
        if not self.at("("):
            return SizeOf(self.unary())
        self.advance()
        if self.at_type():
            kind = self.type_name()
            self.expect(")")
            return self.postfix(SizeOf(TypeName(kind)))
        node = self.binary(COMMA)
        self.expect(")")
        return SizeOf(self.postfix(node))

    def primary(self) -> Node:
        """A number, string, name or `$name`."""
        token = self.token
        if token.kind in (NUMBER, CHARACTER):
            self.advance()
            assert isinstance(token.value, Value)
            return Constant(token.value)
        if token.kind == STRING:
            return self.strings()
        if token.kind == DOLLAR:
            self.advance()
            return dollar(token.text)
        if token.kind == NAME and not (token.value is None and token.text in TYPE_WORDS):
            if self.knows is not None and not self.knows(token.text):
                number = self.as_number(token)
                if number is not None:
                    self.advance()
                    return Constant(number)
                raise UserError(f'No symbol "{token.text}" in current context.')
            self.advance()
            return Symbol(token.text)
        raise self.mistake()

    def as_number(self, token: Token) -> Value | None:
        """The number for a name such as `ff` in a radix above 10; None if the program has the name."""
        if self.lexer.radix <= 10 or token.value is not None:
            return None
        try:
            return parse_number(token.text, self.lexer.radix)
        except UserError:
            return None

    def strings(self) -> Node:
        """Adjacent string literals are one."""
        data = b""
        while self.token.kind == STRING:
            value = self.advance().value
            assert isinstance(value, bytes)
            data += value
        return Constant(make_string(data))

    def postfix(self, node: Node) -> Node:
        """Subscripts, calls, fields, `++` and `--` behind an operand."""
        while self.token.kind != END:
            if self.accept("["):
                node = Subscript(node, self.binary(COMMA))
                self.expect("]")
            elif self.accept("("):
                node = Call(node, self.arguments())
            elif self.at(".") or self.at("->"):
                arrow = self.advance().text == "->"
                if self.token.kind != NAME:
                    raise self.mistake()
                node = Field(node, self.advance().text, arrow)
            elif self.at("++") or self.at("--"):
                node = Step(self.advance().text, node, after=True)
            else:
                break
        return node

    def arguments(self) -> list[Node]:
        """The arguments of a call, between its brackets."""
        found: list[Node] = []
        while not self.accept(")"):
            if found:
                self.expect(",")
            found.append(self.binary(ASSIGNMENT))
        return found

    def at_type(self) -> bool:
        """Whether the next token begins a type."""
        token = self.token
        return token.kind == NAME and token.value is None and token.text in TYPE_WORDS

    def type_name(self) -> CType:
        """A type: words, then pointers, arrays and functions."""
        qualifiers = set()
        words: tuple[str, ...] = ()
        while self.token.kind == NAME and self.token.value is None:
            word = self.token.text
            if word in AGGREGATES and not words:
                self.advance()
                raise UserError(f"No {word} type named {self.token.text}.")
            if word in QUALIFIERS:
                qualifiers.add(word)
            elif (*words, word) in BEGINNINGS:
                words = (*words, word)
            else:
                break
            self.advance()
        if words not in SPELLINGS:
            raise self.mistake()
        kind = SPELLINGS[words]
        before = "".join(f"{word} " for word in ("const", "volatile") if word in qualifiers)
        return self.declarator(qualified(kind, before) if before else kind)

    def declarator(self, kind: CType) -> CType:
        """A declarator: stars, a declarator in brackets, array lengths and `()`."""
        while True:
            if self.accept("*"):
                kind = pointer_to(kind)
            elif self.token.kind == NAME and self.token.text in QUALIFIERS:
                self.advance()
            else:
                break
        stars = 0
        if self.at("("):
            stars = self.inner_stars()
            if not stars:
                return function_of(kind)
        kind = self.suffixes(kind)
        for _ in range(stars):
            kind = pointer_to(kind)
        return kind

    def inner_stars(self) -> int:
        """The stars of `(*)`; none for the `()` of a function."""
        self.expect("(")
        stars = 0
        while self.accept("*"):
            stars += 1
        self.expect(")")
        return stars

    def suffixes(self, kind: CType) -> CType:
        """The array lengths and `()` behind a declarator; the last length is the innermost."""
        bounds: list[int | None] = []
        while self.accept("["):
            bound = None
            if self.token.kind == NUMBER:
                value = self.advance().value
                assert isinstance(value, Value)
                bound = value.as_integer()
            self.expect("]")
            bounds.append(bound)
        if not bounds and self.accept("("):
            self.expect(")")
            return function_of(kind)
        for bound in reversed(bounds):
            kind = array_of(kind, bound)
        return kind


def join(operator: str, left: Node, right: Node) -> Node:
    """The node of a binary operator that is no assignment."""
    if operator == ",":
        return Comma(left, right)
    if operator in ("&&", "||"):
        return Logical(operator, left, right)
    if operator == "@":
        return Repeated(left, right)
    return Binary(operator, left, right)


def dollar(text: str) -> Node:
    """`$`, `$$`, `$3`, `$$2` are values of the value history; any other name with `$` is a variable."""
    found = HISTORY_FORM.fullmatch(text)
    if found is None:
        return Variable(text[1:])
    back, digits = found[1], found[2][:MAX_DIGITS]
    if back:
        return HistoryValue(-int(digits or 1))
    return HistoryValue(int(digits or 0))
