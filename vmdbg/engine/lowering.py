"""One hot function to LLVM's intermediate representation, as text.

The language is that of `engine.language`: ints, which are 64 bits wide here and wrap around, and the
tables of `m`.  Constants of the build are folded while translating, and a branch that they rule out is
never translated.  Every local name is a word on the stack, which LLVM's `sroa` makes a register.

Where Python raises an exception, compiled code has a defined result: a division by zero gives 0, a shift
whose count is no constant uses the count modulo 64, and a number that is stored in a narrow table loses its
high bits. A checked function ends with a failure in these cases, and before it uses an index outside a
table.  In a build that is not checked as a whole, the loops of checked functions (a user's policy and what it
calls) also end with a failure, after MOST_ROUNDS rounds in one call.
"""

# Long: the whole language stands here, each construct once.
from __future__ import annotations

import ast
import operator

from vmdbg.engine.language import MOST_ROUNDS, NotHotError, assigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vmdbg.engine.module import Module

WORD = 8  # bytes of a word of `m`
#: LLVM's attributes of a function, and of those with an option of `reads` and `writes`.
INLINED = "alwaysinline"
ATTRIBUTES = {"rare": "noinline cold optnone", "cold": "noinline cold", "apart": "noinline"}
#: Bits of an element by the type code of its table; the words of tables are signed, narrow ones are not.
WIDTHS = {"q": 64, "I": 32, "H": 16, "B": 8}
ARITHMETIC: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
COMPARISONS: dict[type[ast.AST], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip
#: Operators on constants of the build: Python's own.
FOLDED: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.USub: lambda _, value: -value, ast.Invert: lambda _, value: ~value,
    ast.Not: lambda _, value: not value,
}  # fmt: skip


class Lowering:
    """The translation of one function; `tables[i]` names the table that its parameter `i` is, or is empty."""

    def __init__(self, module: Module, name: str, tables: tuple[str, ...], checked: bool) -> None:
        self.module, self.name = module, name
        self.tree = module.tree(name)
        function = module.functions[name]
        decorated = function.__dict__["hot"]
        self.users = "source" in decorated
        self.attributes = next((text for mark, text in ATTRIBUTES.items() if decorated.get(mark)), INLINED)
        self.checked = checked
        self.counts = checked and (self.users or not module.checked)
        self.constants = {k: v for k, v in function.__globals__.items() if type(v) is int}
        names = [argument.arg for argument in self.tree.args.args]
        given = dict(zip(names, [*tables, *[""] * len(names)], strict=False))
        self.tables = {name: table for name, table in given.items() if table}
        self.parameters = [name for name in names if name != "m" and name not in self.tables]
        self.locals = {*names, *assigned(self.tree)}
        self.symbol = module.mangled(name, tables, checked)
        self.lines: list[str] = []
        self.slots: dict[str, str] = {}  # local name -> its word on the stack
        self.loops: list[tuple[str, str]] = []
        self.names = 0
        self.open = True  # may the present block go on?

    def text(self) -> str:
        """The definition."""
        if self.counts:
            self.emit(f"store i64 0, ptr {self.slot('its rounds')}")
        for number, name in enumerate(self.parameters):
            self.emit(f"store i64 %a.{number}, ptr {self.slot(name)}")
        self.block(self.tree.body)
        self.emit("ret i64 0")
        entry = self.name == self.module.entry
        head = ", ".join(["ptr %m", *[f"i64 %a.{number}" for number in range(len(self.parameters))]])
        attributes = "" if entry or self.users else self.attributes
        stack = "".join(f"  {slot} = alloca i64\n" for slot in self.slots.values())
        kind = f"{'' if entry else 'internal '}{self.module.convention(self.name)}"
        return (
            f"define {kind}i64 {self.symbol}({head}) {attributes} nounwind {{\n"
            f"entry:\n{stack}  br label %start\nstart:\n" + "\n".join(self.lines) + "\n}"
        )

    # -- lines of text

    def emit(self, line: str) -> None:
        """An instruction of the present block; nothing where that has ended."""
        if self.open:
            self.lines.append("  " + line)
            self.open = not line.startswith(("ret ", "br "))

    def label(self, name: str) -> None:
        """Begin a block; the present one goes on there."""
        self.emit(f"br label %{name}")
        self.lines.append(f"{name}:")
        self.open = True

    def fresh(self, what: str) -> str:
        """A name that no other block, value or slot of the function has."""
        self.names += 1
        return f"{what}.{self.names}"

    def value(self, text: str) -> str:
        """An instruction that has a value; returns the value's name."""
        name = "%" + self.fresh("t")
        self.emit(f"{name} = {text}")
        return name

    def slot(self, name: str) -> str:
        """Where a local name is kept."""
        return self.slots.setdefault(name, f"%v.{len(self.slots)}")

    def refused(self, node: ast.AST, wrong: str) -> NotHotError:
        """What to raise for a node that is not of the language."""
        return self.module.error(self.name, node, wrong)

    # -- statements

    def block(self, body: list[ast.stmt]) -> None:
        """Translate statements up to the first that cannot be reached."""
        for item in body:
            if self.open:
                self.statement(item)

    def statement(self, item: ast.stmt) -> None:
        """One statement."""
        match item:
            case ast.Pass():
                pass
            case ast.Expr(value):
                self.number(value)
            case ast.Assign([target], value):
                self.assign(target, self.number(value))
            case ast.AugAssign(ast.Name() as target, op, value) if self.is_number(target):
                old = self.number(target)
                self.assign(target, self.binary(item, op, old, value))
            case ast.AugAssign(ast.Subscript() as target, op, value):
                table, pointer = self.element_of(target)
                self.store(item, table, pointer, self.binary(item, op, self.load(table, pointer), value))
            case ast.Return(value):
                self.emit(f"ret i64 {0 if value is None else self.number(value)}")
            case ast.If(test, body, orelse):
                self.branch(test, body, orelse)
            case ast.While(test, body, []):
                self.loop(test, body)
            case ast.Break() if self.loops:
                self.emit(f"br label %{self.loops[-1][1]}")
            case ast.Continue() if self.loops:
                self.emit(f"br label %{self.loops[-1][0]}")
            case _:
                raise self.refused(item, f"the statement {ast.unparse(item).splitlines()[0]}")

    def assign(self, target: ast.expr, value: str) -> None:
        """Give a name or an element of a table a value."""
        match target:
            case ast.Name(name) if self.is_number(target):
                self.emit(f"store i64 {value}, ptr {self.slot(name)}")
            case ast.Subscript():
                table, pointer = self.element_of(target)
                self.store(target, table, pointer, value)
            case _:
                raise self.refused(target, f"an assignment to {ast.unparse(target)}")

    def branch(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        """`if`; if the build fixes its condition, only the part that is executed."""
        known = self.constant(test)
        if known is not None:
            self.block(body if known else orelse)
            return
        yes, no, after = self.fresh("then"), self.fresh("else"), self.fresh("after")
        self.condition(test, yes, no if orelse else after)
        self.label(yes)
        self.block(body)
        self.emit(f"br label %{after}")
        if orelse:
            self.label(no)
            self.block(orelse)
        self.label(after)

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> None:
        """`while`; nothing if the build fixes its condition to false."""
        if self.constant(test) == 0:
            return
        head, first, after = self.fresh("while"), self.fresh("do"), self.fresh("after")
        self.label(head)
        self.condition(test, first, after)
        self.label(first)
        if self.counts:
            self.count_round(test)
        self.loops.append((head, after))
        self.block(body)
        self.loops.pop()
        self.emit(f"br label %{head}")
        self.label(after)

    def count_round(self, node: ast.AST) -> None:
        """Count a round of the function's loops; the function fails when there are too many."""
        slot = self.slot("its rounds")
        rounds = self.value(f"add i64 {self.value(f'load i64, ptr {slot}')}, 1")
        self.emit(f"store i64 {rounds}, ptr {slot}")
        many = self.value(f"icmp ugt i64 {rounds}, {MOST_ROUNDS}")
        self.fail_if(many, node, f"a loop of more than {MOST_ROUNDS} rounds", "0")

    # -- constants of the build

    def constant(self, node: ast.expr) -> int | None:
        """The value of an expression that the build fixes; None for any other."""
        match node:
            case ast.Constant(int() as value):
                return value
            case ast.Name(name):
                return None if name in self.locals else self.constants.get(name)
            case ast.UnaryOp(op, operand):
                return self.folded(node, op, 0, self.constant(operand))
            case ast.BinOp(left, op, right):
                return self.folded(node, op, self.constant(left), self.constant(right))
            case ast.Compare(left, ops, others):
                for sign, right in zip(ops, others, strict=True):
                    known = self.folded(node, sign, self.constant(left), self.constant(right))
                    if not known:
                        return known
                    left = right
                return 1
            case ast.BoolOp(op, values):
                decides = isinstance(op, ast.Or)
                known = None
                for operand in values:
                    known = self.constant(operand)
                    if known is None or bool(known) == decides:
                        break
                return known
            case ast.IfExp(test, body, orelse):
                known = self.constant(test)
                return None if known is None else self.constant(body if known else orelse)
        return None

    def folded(self, node: ast.expr, op: ast.AST, left: int | None, right: int | None) -> int | None:
        """The result of an operator on two constants; None if one of them is no constant."""
        if left is None or right is None or type(op) not in FOLDED:
            return None
        if isinstance(op, (ast.LShift, ast.RShift)) and not 0 <= right < 64:
            raise self.refused(node, f"a shift by {right}")
        if isinstance(op, (ast.FloorDiv, ast.Mod)) and not right:
            return None
        return int(FOLDED[type(op)](left, right))

    # -- conditions

    def condition(self, node: ast.expr, yes: str, no: str) -> None:
        """Go to the block `yes` where the expression is true, else to `no`."""
        known = self.constant(node)
        match node:
            case _ if known is not None:
                self.emit(f"br label %{yes if known else no}")
            case ast.BoolOp(op, values):
                decides = isinstance(op, ast.Or)
                values = self.undecided(op, values)
                for value in values[:-1]:
                    further = self.fresh("or" if decides else "and")
                    self.condition(value, yes if decides else further, further if decides else no)
                    self.label(further)
                self.condition(values[-1], yes, no)
            case ast.UnaryOp(ast.Not(), operand):
                self.condition(operand, no, yes)
            case ast.Compare():
                self.compare(node, yes, no)
            case _:
                bit = self.value(f"icmp ne i64 {self.number(node)}, 0")
                self.emit(f"br i1 {bit}, label %{yes}, label %{no}")

    def compare(self, node: ast.Compare, yes: str, no: str) -> None:
        """A comparison, or a chain of them, of which each is made only if those before it hold."""
        before, left = self.constant(node.left), self.number(node.left)
        for number, (op, other) in enumerate(zip(node.ops, node.comparators, strict=True)):
            if type(op) not in COMPARISONS:
                raise self.refused(node, f"the comparison {ast.unparse(node)}")
            known, right = self.constant(other), self.number(other)
            if self.folded(node, op, before, known) == 0:
                self.emit(f"br label %{no}")
                return
            bit = self.value(f"icmp {COMPARISONS[type(op)]} i64 {left}, {right}")
            further = yes if number == len(node.ops) - 1 else self.fresh("chain")
            self.emit(f"br i1 {bit}, label %{further}, label %{no}")
            if further != yes:
                self.label(further)
            before, left = known, right

    # -- ints

    def number(self, node: ast.expr) -> str:
        """An expression; returns the name of its value, or a number."""
        known = self.constant(node)
        if known is not None:
            if not -(1 << 63) <= known < 1 << 63:
                raise self.refused(node, f"a constant that needs more than 64 bits: {known:#x}")
            return str(int(known))
        match node:
            case ast.Name(name) if name in self.locals and self.is_number(node):
                return self.value(f"load i64, ptr {self.slot(name)}")
            case ast.BinOp(left, op, right):
                return self.binary(node, op, self.number(left), right)
            case ast.UnaryOp(ast.USub(), operand):
                return self.value(f"sub i64 0, {self.number(operand)}")
            case ast.UnaryOp(ast.Invert(), operand):
                return self.value(f"xor i64 {self.number(operand)}, -1")
            case ast.Compare(left, [op], [right]) if type(op) in COMPARISONS:
                values = f"{self.number(left)}, {self.number(right)}"
                return self.value(
                    f"zext i1 {self.value(f'icmp {COMPARISONS[type(op)]} i64 {values}')} to i64"
                )
            case ast.UnaryOp(ast.Not()) | ast.Compare():
                return self.chosen(node, lambda: "1", lambda: "0")
            case ast.IfExp(test, body, orelse):
                return self.chosen(test, lambda: self.number(body), lambda: self.number(orelse))
            case ast.BoolOp(op, values):
                return self.deciding(op, values)
            case ast.Subscript():
                return self.load(*self.element_of(node))
            case ast.Call(ast.Name(name), arguments, []):
                return self.call(node, name, arguments)
        raise self.refused(node, f"the expression {ast.unparse(node)}")

    def is_number(self, node: ast.Name) -> bool:
        """Is a name neither that of the machine nor of a table?"""
        return node.id != "m" and node.id not in self.tables

    def chosen(self, test: ast.expr, body: Callable[[], str], orelse: Callable[[], str]) -> str:
        """A register with one of two values, each computed only where the test chooses it."""
        known = self.constant(test)
        if known is not None:
            return body() if known else orelse()
        slot = self.slot(self.fresh("chosen"))
        yes, no, after = self.fresh("then"), self.fresh("else"), self.fresh("after")
        self.condition(test, yes, no)
        self.label(yes)
        self.emit(f"store i64 {body()}, ptr {slot}")
        self.emit(f"br label %{after}")
        self.label(no)
        self.emit(f"store i64 {orelse()}, ptr {slot}")
        self.label(after)
        return self.value(f"load i64, ptr {slot}")

    def deciding(self, op: ast.boolop, values: list[ast.expr]) -> str:
        """`and` or `or` as an expression: the operand that decides."""
        decides = isinstance(op, ast.Or)
        slot, after = self.slot(self.fresh("deciding")), self.fresh("after")
        values = self.undecided(op, values)
        for value in values[:-1]:
            number = self.number(value)
            self.emit(f"store i64 {number}, ptr {slot}")
            further = self.fresh("or" if decides else "and")
            bit = self.value(f"icmp ne i64 {number}, 0")
            yes, no = (after, further) if decides else (further, after)
            self.emit(f"br i1 {bit}, label %{yes}, label %{no}")
            self.label(further)
        self.emit(f"store i64 {self.number(values[-1])}, ptr {slot}")
        self.label(after)
        return self.value(f"load i64, ptr {slot}")

    def undecided(self, op: ast.boolop, values: list[ast.expr]) -> list[ast.expr]:
        """The operands of `and` or `or` that have to be translated: constants that do not decide are left
        out, and after one that decides nothing follows."""
        found = []
        for value in values:
            known = self.constant(value)
            if known is None:
                found.append(value)
            elif bool(known) == isinstance(op, ast.Or) or value is values[-1]:
                return [*found, value]
        return found

    def binary(self, node: ast.AST, op: ast.operator, left: str, other: ast.expr) -> str:
        """An operator and its two operands."""
        known = self.constant(other)
        right = self.number(other)
        if isinstance(op, (ast.LShift, ast.RShift)):
            if known is not None and not 0 <= known < 64:
                raise self.refused(node, f"a shift by {known}")
            if known is None and self.checked:
                self.fail_if(self.value(f"icmp ugt i64 {right}, 63"), node, "a shift by {}", right)
            elif known is None:
                right = self.value(f"and i64 {right}, 63")
        if type(op) in ARITHMETIC:
            return self.value(f"{ARITHMETIC[type(op)]} i64 {left}, {right}")
        if not isinstance(op, (ast.FloorDiv, ast.Mod)):
            raise self.refused(node, f"the operator {type(op).__name__}")
        if known is not None and 0 < known < 1 << 63 and known & known - 1 == 0:
            if isinstance(op, ast.FloorDiv):
                return self.value(f"ashr i64 {left}, {known.bit_length() - 1}")
            return self.value(f"and i64 {left}, {known - 1}")
        return self.divided(node, op, left, right)

    def divided(self, node: ast.AST, op: ast.operator, left: str, right: str) -> str:
        """Division as Python has it: the quotient is rounded down, the remainder has the divisor's sign.

        The processor must see neither 0 nor -1 as a divisor: the smallest word has no negative.
        """
        zero = self.value(f"icmp eq i64 {right}, 0")
        if self.checked:
            self.fail_if(zero, node, "division by zero", right)
        small = self.value(f"or i1 {zero}, {self.value(f'icmp eq i64 {right}, -1')}")
        safe = self.value(f"select i1 {small}, i64 1, i64 {right}")
        rest = self.value(f"srem i64 {left}, {safe}")
        signs = self.value(f"icmp slt i64 {self.value(f'xor i64 {rest}, {safe}')}, 0")
        down = self.value(f"and i1 {signs}, {self.value(f'icmp ne i64 {rest}, 0')}")
        if isinstance(op, ast.Mod):
            more = self.value(f"select i1 {down}, i64 {safe}, i64 0")
            return self.value(f"add i64 {rest}, {more}")  # 0 for a divisor of 0, 1 or -1
        quotient = self.value(f"sdiv i64 {left}, {safe}")
        whole = self.value(f"add i64 {quotient}, {self.value(f'sext i1 {down} to i64')}")
        negated = self.value(f"mul i64 {left}, {right}")  # by -1, or by 0
        return self.value(f"select i1 {small}, i64 {negated}, i64 {whole}")

    # -- tables

    def table(self, node: ast.expr) -> str:
        """The table that an expression names."""
        match node:
            case ast.Attribute(ast.Name("m"), name) if name in self.module.layout.codes:
                return name
            case ast.Name(name) if name in self.tables:
                return self.tables[name]
        raise self.refused(node, f"no table: {ast.unparse(node)}")

    def words(self, node: ast.expr) -> str:
        """The table of words that an expression names."""
        table = self.table(node)
        if WIDTHS[self.module.layout.codes[table]] != 64:
            raise self.refused(node, f"no table of words: {ast.unparse(node)}")
        return table

    def word(self, number: int) -> str:
        """The address of a word of `m`."""
        return self.value(f"getelementptr i8, ptr %m, i64 {number * WORD}")

    def address(self, table: str) -> str:
        """Where a table begins: no run changes that."""
        pointer = self.word(self.module.layout.word[table])
        return self.value(f"load ptr, ptr {pointer}, align {WORD}, !invariant.load !0, !tbaa !3")

    def length(self, table: str) -> str:
        """The number of its elements."""
        pointer = self.word(self.module.layout.word[table] + 1)
        return self.value(f"load i64, ptr {pointer}, align {WORD}, !invariant.load !0, !tbaa !3")

    def element_of(self, node: ast.Subscript) -> tuple[str, str]:
        """A table, and the address of the element that the expression names."""
        table = self.table(node.value)
        return table, self.element(node, table, self.number(node.slice))

    def element(self, node: ast.AST, table: str, index: str) -> str:
        """The address of an element; a checked function fails if there is none."""
        if self.checked:
            outside = self.value(f"icmp uge i64 {index}, {self.length(table)}")
            self.fail_if(outside, node, f"m.{table}[{{}}] is out of range", index)
        width = WIDTHS[self.module.layout.codes[table]]
        return self.value(f"getelementptr inbounds i{width}, ptr {self.address(table)}, i64 {index}")

    def load(self, table: str, pointer: str) -> str:
        """An element."""
        width = WIDTHS[self.module.layout.codes[table]]
        tag = self.module.alias_class(table)
        found = self.value(f"load i{width}, ptr {pointer}, align {width // 8}, !tbaa !{tag}")
        return found if width == 64 else self.value(f"zext i{width} {found} to i64")

    def store(self, node: ast.AST, table: str, pointer: str, value: str) -> None:
        """Give an element a value; a narrow one takes its low bits, or a checked function fails."""
        width = WIDTHS[self.module.layout.codes[table]]
        if width < 64:
            if self.checked:
                wide = self.value(f"icmp uge i64 {value}, {1 << width}")
                self.fail_if(wide, node, f"{{}} does not fit m.{table}", value)
            value = self.value(f"trunc i64 {value} to i{width}")
        tag = self.module.alias_class(table)
        self.emit(f"store i{width} {value}, ptr {pointer}, align {width // 8}, !tbaa !{tag}")

    # -- failures

    def fail_if(self, bit: str, node: ast.AST, what: str, number: str) -> None:
        """End the function where `bit` holds, and say why; `{}` stands for the number."""
        fails, goes = self.fresh("fails"), self.fresh("goes")
        self.emit(f"br i1 {bit}, label %{fails}, label %{goes}, !prof !4")
        self.label(fails)
        text = self.module.failure_text(self.name, node, what)
        failure = self.module.layout.failure
        self.emit(f"store ptr {text}, ptr {self.word(failure)}, align {WORD}")
        self.emit(f"store i64 {number}, ptr {self.word(failure + 1)}, align {WORD}")
        if self.users:
            self.emit(f"store ptr {text}, ptr {self.word(failure + 2)}, align {WORD}")
        self.emit("ret i64 0")
        self.label(goes)

    def pass_failure_on(self, node: ast.AST) -> None:
        """End the function if the one that it called has failed.

        The innermost function of a user's on the way says where it stands.
        """
        failed = self.value(f"load ptr, ptr {self.word(self.module.layout.failure)}, align {WORD}")
        bit = self.value(f"icmp ne ptr {failed}, null")
        fails, goes = self.fresh("fails"), self.fresh("goes")
        self.emit(f"br i1 {bit}, label %{fails}, label %{goes}, !prof !4")
        self.label(fails)
        if self.users:
            text = self.module.failure_text(self.name, node, "")
            word = self.word(self.module.layout.failure + 2)
            inner = self.value(f"load ptr, ptr {word}, align {WORD}")
            known = self.value(f"icmp ne ptr {inner}, null")
            pointer = self.value(f"select i1 {known}, ptr {inner}, ptr {text}")
            self.emit(f"store ptr {pointer}, ptr {word}, align {WORD}")
        self.emit("ret i64 0")
        self.label(goes)

    # -- calls

    def call(self, node: ast.Call, name: str, arguments: list[ast.expr]) -> str:
        """A call of a hot function, or of a function of Python that the language has."""
        match name, arguments:
            case "int", [value]:
                return self.number(value)
            case "len", [value]:
                return self.length(self.table(value))
            case "prefetch", [target, index]:
                return self.prefetch(self.table(target), self.number(index))
            case "zero_words", [target, start, count]:
                return self.zero_words(node, self.words(target), self.number(start), self.number(count))
            case "copy_words", [target, to, source, start, count]:
                between = self.words(target), self.words(source)
                return self.copy_words(
                    node, *between, self.number(to), self.number(start), self.number(count)
                )
        if name not in self.module.functions:
            raise self.refused(node, f"a call of no hot function: {name}")
        parameters = self.module.tree(name).args.args
        if len(parameters) != len(arguments):
            raise self.refused(node, f"{name} takes {len(parameters)} arguments, not {len(arguments)}")
        tables, values = [], ["ptr %m"]
        for argument, parameter in zip(arguments, parameters, strict=True):
            whole = isinstance(argument, ast.Name) and argument.id == "m"
            if whole != (parameter.arg == "m"):
                raise self.refused(argument, f"m is no number: {ast.unparse(node)}")
            passed = isinstance(argument, ast.Attribute) or (
                isinstance(argument, ast.Name) and argument.id in self.tables
            )
            tables.append(self.table(argument) if passed else "")
            if not whole and not passed:
                values.append(f"i64 {self.number(argument)}")
        self.module.calls.setdefault(self.name, {}).setdefault(name, node)
        checked = self.checked or self.module.is_checked(name)
        symbol = self.module.symbol(name, tuple(tables), checked)
        result = self.value(f"call {self.module.convention(name)}i64 {symbol}({', '.join(values)})")
        if checked or self.module.can_fail(name):
            self.pass_failure_on(node)
        return result

    def prefetch(self, table: str, index: str) -> str:
        """Ask for an element; nothing comes of it where there is none."""
        width = WIDTHS[self.module.layout.codes[table]]
        pointer = self.value(f"getelementptr i{width}, ptr {self.address(table)}, i64 {index}")
        self.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 1, i32 3, i32 1)")
        return "0"

    def zero_words(self, node: ast.AST, table: str, start: str, count: str) -> str:
        """Clear words of a table."""
        pointer = self.stretch(node, table, start, count)
        size = self.value(f"shl i64 {count}, 3")
        self.emit(f"call void @llvm.memset.p0.i64(ptr align 8 {pointer}, i8 0, i64 {size}, i1 false)")
        return "0"

    def copy_words(self, node: ast.AST, table: str, source: str, to: str, start: str, count: str) -> str:
        """Copy words between tables, which may be one."""
        target, origin = self.stretch(node, table, to, count), self.stretch(node, source, start, count)
        size = self.value(f"shl i64 {count}, 3")
        pointers = f"ptr align 8 {target}, ptr align 8 {origin}"
        self.emit(f"call void @llvm.memmove.p0.p0.i64({pointers}, i64 {size}, i1 false)")
        return "0"

    def stretch(self, node: ast.AST, table: str, start: str, count: str) -> str:
        """The address of the first of `count` words of a table; a checked function fails without them all."""
        if self.checked:
            length = self.length(table)
            many = self.value(f"icmp ugt i64 {count}, {length}")
            self.fail_if(many, node, f"m.{table} has no {{}} words", count)
            last = self.value(f"sub i64 {length}, {count}")
            outside = self.value(f"icmp ugt i64 {start}, {last}")
            self.fail_if(outside, node, f"m.{table}[{{}}] is out of range", start)
        return self.value(f"getelementptr inbounds i64, ptr {self.address(table)}, i64 {start}")
