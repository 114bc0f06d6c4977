# SPDX-License-Identifier: MIT
"""Shows fibers in gdb, in a live process as in a core file: source tools/gdb/thrum.py

    thrum fibers            every fiber: its worker, its state, what it waits for
    thrum fiber ID          the stack of one that does not run
    thrum fiber all         the stacks of all that do not run
    thrum waits [KIND]      who waits (for that), since when, and who can end it; the longest first
    thrum tree              every fiber below the one whose scope it was started in
    thrum why ID            what a fiber waits for, what that waits for, and so on
    thrum apply ID|all COMMAND   a command of gdb, such as `bt full`, on the stack of a fiber

Nothing of the process is changed or run. Stacks are walked by their frame pointers, from what the
context switch saved; see src/fiber/context_x86_64.h and context_aarch64.h. For `thrum apply` gdb is
told, by an unwinder, that the thread's innermost frame was called from the fiber's: so gdb walks the
fiber's stack with all it knows, in a core file as well.
"""
import gdb
import gdb.unwinder

STATES = ["free", "ready", "running", "parked", "ended"]
FREE, READY, RUNNING, PARKED, ENDED = range(5)

# Where a saved context keeps the frame pointer and the address to go on at, by architecture.
SAVED = {"i386:x86-64": (8, 16), "aarch64": (0, 8)}
FRAMES_MAX = 200

# The same for an unwinder: names of the registers, and what the switch left below the stack pointer.
REGISTERS = {"i386:x86-64": ("rip", "rsp", "rbp", 152), "aarch64": ("pc", "sp", "x29", 32)}

# Who ends a wait: THI_BY_... in src/fiber/fiber.h.
ANYBODY, OWNER, FIBER, CHILDREN, DESCRIPTOR, TIME, POOL, WORK = range(8)
NEVER = 2**63 - 1


def fibers():
    """Yields (worker, fiber) of all that are not free, by walking all runtimes."""
    try:
        fiber_type = gdb.lookup_type("struct th_fiber")
        runtime = gdb.parse_and_eval("thi_runtimes")
    except gdb.error as error:
        raise gdb.GdbError(f"no Thrum with debug information is loaded: {error}")
    while runtime:
        for index in range(int(runtime["count"])):
            worker = runtime["workers"][index]
            slab = worker["fibers"]["slabs"]
            while slab:
                first = slab.dereference()["fibers"].address.cast(fiber_type.pointer())
                for i in range(int(slab["used"])):
                    if int(first[i]["state"]) != FREE:
                        yield worker, first[i]
                slab = slab["next"]
        runtime = runtime["next"]


def text_of(pointer):
    return pointer.string() if pointer else ""


def wait_of(fiber):
    """What a fiber waits for, or None: its struct thi_wait."""
    if int(fiber["state"]) != PARKED or not fiber["waits"]:
        return None
    return fiber["waits"].dereference()


def datum(wait, type_name):
    """What the kind of a wait says that there is in its object."""
    at = int(wait["object"]) + int(wait["kind"]["at"])
    return gdb.Value(at).cast(gdb.lookup_type(type_name).pointer()).dereference()


def span(nanoseconds):
    return f"{nanoseconds / 1e9:.1f} s" if nanoseconds >= 10**9 else f"{nanoseconds // 10**6} ms"


def now_of(fiber):
    """The time as the loop of its worker knew it."""
    return int(fiber["worker"]["loop"]["now"])


def owner_of(wait):
    """Who holds what is waited for: the address of a fiber, or a mark of a thread; 0: nobody."""
    return int(datum(wait, "unsigned long")) & ~1


def thread_marked(mark):
    """The thread whose mark that is, as gdb calls it, or None where that cannot be found out."""
    selected = gdb.selected_thread()
    found = None
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            if int(gdb.parse_and_eval("&thi_sync_thread")) == mark:
                found = thread
    except gdb.error:  # a core without libthread_db
        pass
    if selected:
        selected.switch()
    return found


def fiber_at(address):
    """Names the fiber at an address, which may be none."""
    for _, fiber in fibers():
        if int(fiber.address) == address:
            return f"fiber {int(fiber['id'])}"
    return "a fiber that is not there"


def holder(wait):
    """Says who holds what is waited for."""
    owner = owner_of(wait)
    if not owner:
        return "nobody"
    if any(int(fiber.address) == owner for _, fiber in fibers()):
        return fiber_at(owner)
    thread = thread_marked(owner)
    return f"thread {thread.num} (LWP {thread.ptid[1]})" if thread else "a thread"


def detail(fiber, wait):
    """What is to be said of a wait besides its kind and its object."""
    ends = int(wait["kind"]["ends"])
    if ends == OWNER:
        return f", held by {holder(wait)}"
    if ends == FIBER:
        return f", {fiber_at(int(datum(wait, 'unsigned long')))}"
    if ends == CHILDREN:
        scope = wait["object"].cast(gdb.lookup_type("struct thi_scope").pointer())
        return f", children: {int(scope['live'])}"
    if ends == DESCRIPTOR:
        return f", descriptor {int(datum(wait, 'int'))}"
    if ends == TIME:
        due = int(datum(wait, "long"))
        return ", for ever" if due == NEVER else f", {span(max(due - now_of(fiber), 0))} left"
    if ends == WORK:
        function = gdb.Value(int(datum(wait, "unsigned long"))).cast(gdb.lookup_type("void").pointer())
        return ", " + str(function).split("<")[-1].rstrip(">")
    return ""


def waits_for(fiber):
    """Says what a parked fiber waits for."""
    wait = wait_of(fiber)
    if wait is None:
        return ""
    ends = int(wait["kind"]["ends"])
    on = "" if ends == TIME or not wait["object"] else f" on {int(wait['object']):#x}"
    return text_of(wait["kind"]["what"]) + on + detail(fiber, wait)


def names_at(pc):
    """Returns the functions at an address, those that were inlined there first."""
    names = []
    block = gdb.block_for_pc(pc)
    while block and not block.is_global and not block.is_static:
        if block.function:
            names.append(block.function.print_name)
        block = block.superblock
    return names or ["??"]


def place_of(pc):
    line = gdb.find_pc_line(pc)
    return f"{line.symtab.filename}:{line.line}" if line.symtab else f"{pc:#x}"


def frames(fiber):
    """Yields the addresses on the stack of a fiber that does not run, innermost first."""
    word = gdb.lookup_type("unsigned long")

    def read(address):
        return int(gdb.Value(address).cast(word.pointer()).dereference())

    arch = gdb.selected_inferior().architecture().name()
    if arch not in SAVED:
        raise gdb.GdbError(f"the stacks of {arch} are not known here")
    frame_offset, pc_offset = SAVED[arch]
    sp = int(fiber["context"]["sp"])
    low, size = int(fiber["stack_low"]), int(fiber["stack_size"])
    frame = read(sp + frame_offset)
    yield read(sp + pc_offset)
    for _ in range(FRAMES_MAX):
        if not low <= frame < low + size - 16:
            return
        yield read(frame + 8) - 1  # inside the call, not after it
        frame = read(frame)


def show_stack(fiber):
    level = 0
    for pc in frames(fiber):
        place = f" at {place_of(pc)}"
        for name in names_at(pc):
            print(f"  #{level:<2} {name}{place}")
            level += 1
            place = ""  # where in this one the other was inlined is not known


def title(worker, fiber):
    state = STATES[int(fiber["state"])]
    name = (text_of(fiber["name"]) or text_of(fiber["origin"])
            or str(fiber["fn"]).split("<")[-1].rstrip(">"))
    return f"{int(fiber['id']):>6}  {int(worker['index']):>6}  {state:<8}{name:<24} {waits_for(fiber)}"


def fiber_with(argument):
    """The only fiber with an id."""
    for worker, fiber in fibers():
        if str(int(fiber["id"])) == argument:
            return worker, fiber
    raise gdb.GdbError("no such fiber; `thrum fibers` lists them")


def parent_of(fiber):
    """The address of the fiber that opened the scope it was started in; 0: none did."""
    scope = fiber["home"]
    if int(fiber["state"]) == ENDED or not scope:
        return 0
    if not scope["host"] and scope["origin"]:
        scope = scope["origin"]
    return int(scope["host"])


def children_of(scope):
    """Those that were started in a scope, on whatever worker."""
    for worker, fiber in fibers():
        home = fiber["home"]
        if int(fiber["state"]) != ENDED and home and scope in (int(home), int(home["origin"])):
            yield worker, fiber


class Thrum(gdb.Command):
    """Shows the fibers of Thrum."""

    def __init__(self):
        super().__init__("thrum", gdb.COMMAND_STACK, prefix=True)


class Fibers(gdb.Command):
    """Lists every fiber."""

    def __init__(self):
        super().__init__("thrum fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        print("    id  worker  state   name                     waits for")
        for worker, fiber in fibers():
            print(title(worker, fiber).rstrip())


class Fiber(gdb.Command):
    """Shows the stack of the fiber with the given id, or of all."""

    def __init__(self):
        super().__init__("thrum fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        found = False
        for worker, fiber in fibers():
            if argument in ("all", str(int(fiber["id"]))):
                found = True
                print(title(worker, fiber).rstrip())
                if int(fiber["state"]) in (READY, PARKED):
                    show_stack(fiber)
                elif int(fiber["state"]) == RUNNING:
                    print("  it runs: see the stack of its thread")
        if not found:
            raise gdb.GdbError("no such fiber; `thrum fibers` lists them")



class Waits(gdb.Command):
    """Lists who waits, of one kind or of all, the longest first."""

    def __init__(self):
        super().__init__("thrum waits", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        rows = []
        for _, fiber in fibers():
            wait = wait_of(fiber)
            if wait is not None and argument in ("", text_of(wait["kind"]["what"])):
                rows.append((now_of(fiber) - int(wait["since"]), int(fiber["id"]), waits_for(fiber)))
        print("     since                id  waits for")
        for since, number, text in sorted(rows, key=lambda row: (-row[0], row[1])):
            print(f"{span(max(since, 0)):>10}  {number:>16}  {text}")


class Tree(gdb.Command):
    """Shows every fiber below the one whose scope it was started in."""

    def __init__(self):
        super().__init__("thrum tree", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        everybody = {int(fiber.address): (worker, fiber) for worker, fiber in fibers()}
        children = {}
        for address, (_, fiber) in everybody.items():
            parent = parent_of(fiber)
            children.setdefault(parent if parent in everybody else 0, []).append(address)
        stack = [(address, 0) for address in reversed(children.get(0, []))]
        while stack:
            address, depth = stack.pop()
            print("   " * depth + title(*everybody[address]).strip())
            stack += [(child, depth + 1) for child in reversed(children.get(address, []))]


class Why(gdb.Command):
    """Tells what the fiber with the given id waits for, what that waits for, and so on."""

    CHILDREN_MAX = 10

    def __init__(self):
        super().__init__("thrum why", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        self.explain(*fiber_with(argument), [])

    def explain(self, worker, fiber, way):
        indent = "  " * len(way)
        address = int(fiber.address)
        if address in way:
            print(f"{indent}fiber {int(fiber['id'])} again: they wait for each other in a circle")
            return
        wait = wait_of(fiber)
        print(indent + title(worker, fiber).strip())
        if wait is None:
            return
        ends = int(wait["kind"]["ends"])
        nexts = []
        if ends == OWNER:
            nexts = [pair for pair in fibers() if int(pair[1].address) == owner_of(wait)]
        elif ends == FIBER:
            awaited = int(datum(wait, "unsigned long"))
            nexts = [pair for pair in fibers() if int(pair[1].address) == awaited]
        elif ends == CHILDREN:
            nexts = list(children_of(int(wait["object"])))
        for pair in nexts[:self.CHILDREN_MAX]:
            self.explain(*pair, way + [address])
        if len(nexts) > self.CHILDREN_MAX:
            print(f"{indent}  and for {len(nexts) - self.CHILDREN_MAX} more")


class Id:
    """Tells one frame from another."""

    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class FromFiber(gdb.unwinder.Unwinder):
    """Has the selected thread's innermost frame called from a fiber, while there is one."""

    def __init__(self):
        super().__init__("thrum-fiber")
        self.context = None  # (pc, sp, frame pointer)
        self.first = None    # the stack pointer of the innermost frame

    def __call__(self, frame):
        if self.context is None:
            return None
        names = REGISTERS[gdb.selected_inferior().architecture().name()]
        here = frame.read_register(names[1])
        if self.first is None:
            self.first = int(here)
        if int(here) != self.first:
            return None
        info = frame.create_unwind_info(Id(here, frame.read_register(names[0])))
        for name, value in zip(names, self.context):
            kind = frame.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info

    def enter(self, context):
        self.context = context
        self.first = None
        gdb.invalidate_cached_frames()

    def leave(self):
        self.enter(None)


class Apply(gdb.Command):
    """Runs a command of gdb on the stack of a fiber, or of each that does not run.

    It starts with the fiber's innermost frame selected, which has number 1: number 0 is what the
    selected thread does, whose registers gdb would not do without."""

    def __init__(self, unwinder):
        super().__init__("thrum apply", gdb.COMMAND_STACK)
        self.unwinder = unwinder

    def invoke(self, argument, from_tty):
        which, _, command = argument.strip().partition(" ")
        if not command:
            raise gdb.GdbError("usage: thrum apply ID|all COMMAND")
        chosen = list(fibers()) if which == "all" else [fiber_with(which)]
        for worker, fiber in chosen:
            print(title(worker, fiber).rstrip())
            if int(fiber["state"]) in (READY, PARKED):
                self.run(fiber, command)

    def run(self, fiber, command):
        arch = gdb.selected_inferior().architecture().name()
        if arch not in SAVED:
            raise gdb.GdbError(f"the stacks of {arch} are not known here")
        word = gdb.lookup_type("unsigned long")
        frame_offset, pc_offset = SAVED[arch]
        sp = int(fiber["context"]["sp"])
        pc, frame = (int(gdb.Value(sp + offset).cast(word.pointer()).dereference())
                     for offset in (pc_offset, frame_offset))
        self.unwinder.enter((pc, sp + REGISTERS[arch][3], frame))
        try:
            gdb.newest_frame().older().select()
            gdb.execute(command)
        except gdb.error as error:
            print(error)
        finally:
            self.unwinder.leave()


Thrum()
Fibers()
Fiber()
Waits()
Tree()
Why()
unwinder = FromFiber()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
Apply(unwinder)
