# SPDX-License-Identifier: MIT
"""Shows fibers in gdb, in a live process as in a core file: source tools/gdb/thrum.py

    thrum fibers            every fiber: its worker, its state, what it waits for
    thrum fiber ID          the stack of one that does not run
    thrum fiber all         the stacks of all that do not run

Nothing of the process is changed or run. Stacks are walked by their frame pointers, from what the
context switch saved; see src/fiber/context_x86_64.h and context_aarch64.h.
"""
import gdb

STATES = ["free", "ready", "running", "parked", "ended"]
FREE, READY, RUNNING, PARKED, ENDED = range(5)

# Where a saved context keeps the frame pointer and the address to go on at, by architecture.
SAVED = {"i386:x86-64": (8, 16), "aarch64": (0, 8)}
FRAMES_MAX = 200


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


def waits_for(fiber):
    """Says what a parked fiber waits for."""
    if int(fiber["state"]) != PARKED or not fiber["waits"]:
        return ""
    wait = fiber["waits"].dereference()
    on = f" on {int(wait['object']):#x}" if wait["object"] else ""
    return text_of(wait["kind"]["what"]) + on


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


Thrum()
Fibers()
Fiber()
