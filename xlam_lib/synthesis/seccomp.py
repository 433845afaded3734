"""A seccomp-BPF filter for the process that runs library functions (Linux on x86-64 and 64-bit Arm).

The kernel asks the filter at every system call, whoever makes it, so native code that Python's audit hook
does not see is bound too, and root as well. What is refused gives ``EPERM``. The filter refuses by name,
since the calls that Python and its packages need differ between versions; system calls that are newer
than the table give ``ENOSYS``, as on an older kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Sequence

# Name to its number on x86-64 and on aarch64 (None: there is no such call).
_PROCESSES = {
    "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "clone3": (435, 435),
    "execve": (59, 221), "execveat": (322, 281), "unshare": (272, 97), "setns": (308, 268),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "setrlimit": (160, 164),
}  # fmt: skip
_SIGNALS = {
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "alarm": (37, None),
    "setitimer": (38, 103), "timer_create": (222, 107),
}  # fmt: skip
_SOCKETS = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206),
    "sendmsg": (46, 211), "sendmmsg": (307, 269),
}  # fmt: skip
_FILES = {
    "openat2": (437, 437), "open_by_handle_at": (304, 265), "creat": (85, None), "unlink": (87, None),
    "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "truncate": (76, 45), "ftruncate": (77, 46),
    "fallocate": (285, 47), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "mknod": (133, None), "mknodat": (259, 33), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "move_mount": (429, 429), "open_tree": (428, 428),
    "mount_setattr": (442, 442), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "swapon": (167, 224), "swapoff": (168, 225),
}  # fmt: skip
_KERNEL = {
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "reboot": (169, 142), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "acct": (163, 89), "syslog": (103, 116), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip
_ARGUMENTS = {
    "open": (2, None), "openat": (257, 56), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "prlimit64": (302, 261), "ioctl": (16, 29), "fcntl": (72, 25), "prctl": (157, 167),
}  # fmt: skip
_INSTALL = {"seccomp": (317, 277)}
NUMBERS = _PROCESSES | _SIGNALS | _SOCKETS | _FILES | _KERNEL | _ARGUMENTS | _INSTALL
"""Every system call named here: its numbers on x86-64 and aarch64."""
_NEWEST = 450  # set_mempolicy_home_node; numbers above are newer than this table
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column in the table, AUDIT_ARCH_*

_LOAD, _EQUAL, _GREATER, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _DENY, _ABSENT = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # access mode, O_CREAT, O_TRUNC, the bit of O_TMPFILE
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO(N)CLEX
_FCNTLS = (8, 10, 15, 1024, 1026)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others; F_SETLEASE, F_NOTIFY
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant: the fields of the kernel's ``sock_filter``."""


def program(machine: str, pid: int, network: bool) -> list[Instruction]:
    """The filter for a processor ("x86_64" or "aarch64") and a process; ``network`` permits sockets.

    Raises
    ------
    KeyError
        Another processor.
    """
    column, architecture = _MACHINES[machine]
    code: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _DENY),  # 32-bit calls have other numbers
        (_LOAD, 0, 0, 0),
        (_GREATER, 0, 1, _NEWEST),  # x86-64's x32 calls too, which are above 2**30
        (_RETURN, 0, 0, _ABSENT),
    ]
    denied = _PROCESSES | _SIGNALS | _FILES | _KERNEL | ({} if network else _SOCKETS)
    for numbers in denied.values():
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]
    for name, rule in _argument_rules(pid).items():
        number = _ARGUMENTS[name][column]
        if number is not None:
            code += [(_EQUAL, 0, len(rule) + 1, number), *rule, (_RETURN, 0, 0, _ALLOW)]
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _argument_rules(pid: int) -> dict[str, list[Instruction]]:
    """Calls that depend on their arguments; the kernel's integers, so the low halves say all."""
    own = _deny_unless(0, (pid,))
    return {
        "open": _deny_bits(1, _WRITING),
        "openat": _deny_bits(2, _WRITING),
        "kill": own,
        "tkill": own,
        "tgkill": own,  # abort() sends its signal by this one
        "prlimit64": [
            *_deny_unless(0, (0, pid)),
            *_argument(1),
            (_EQUAL, 0, 1, 0),  # RLIMIT_CPU, which the worker moves with each batch
            (_RETURN, 0, 0, _ALLOW),
            *_deny_unless(2, (0,)),  # other limits can be read, not set: both halves of the pointer are 0
            *_deny_unless(2, (0,), high=True),
        ],
        "ioctl": _deny_unless(1, _IOCTLS),  # others change files and devices that are open for reading
        "fcntl": _deny_if(1, _FCNTLS),
        "prctl": _deny_if(0, (_PR_SET_PDEATHSIG,)),
    }


def _argument(number: int, high: bool = False) -> list[Instruction]:
    return [(_LOAD, 0, 0, 16 + 8 * number + 4 * high)]


def _deny_bits(number: int, mask: int) -> list[Instruction]:
    return [*_argument(number), (_BITS, 0, 1, mask), (_RETURN, 0, 0, _DENY)]


def _deny_unless(number: int, values: Sequence[int], high: bool = False) -> list[Instruction]:
    tests = [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [*_argument(number, high), *tests, (_RETURN, 0, 0, _DENY)]


def _deny_if(number: int, values: Sequence[int]) -> list[Instruction]:
    last = len(values) - 1
    tests = [(_EQUAL, last - index, int(index == last), value) for index, value in enumerate(values)]
    return [*_argument(number), *tests, (_RETURN, 0, 0, _DENY)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install(network: bool = False) -> bool:
    """Bind all threads of this process for good; False where the kernel or processor has no such filter."""
    if sys.platform != "linux" or os.uname().machine not in _MACHINES or struct.calcsize("P") != 8:
        return False
    machine = os.uname().machine
    code = b"".join(struct.pack("=HBBI", *step) for step in program(machine, os.getpid(), network))
    filled = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    number = _INSTALL["seccomp"][_MACHINES[machine][0]]
    return libc.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(filled)) == 0
