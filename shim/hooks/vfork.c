/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfork.c - vfork(), which compilers' drivers and shells start programs by.
 *
 * The child runs on its parent's memory until it executes something: what it closes it would take out of the parent's
 * table of connections, too, and a connection that it made would be its parent's. So it gets a copy, as by fork(), in
 * every process that has anything of ours or calls what makes sockets. Elsewhere vfork() is what the program asked
 * for: quick, and the parent waits.
 */
#include "../divided.h"
#include "../fdtab.h"
#include "../imports.h"
#include "../libc.h"
#include "../lock.h"
#include "../session.h"

#include <sys/single_threaded.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__aarch64__)
/* What must outlive the child's use of the stack. One at a time: in the child and in what interrupts us
 * divided_lend() says no. */
__attribute__((used, visibility("hidden"))) void *vfork_caller;
static lock_signals vfork_signals;

typedef pid_t (*vfork_fn)(void);
vfork_fn vfork_begin(void);
void vfork_end(pid_t pid);

/* The real one, or NULL: it has to be fork(). Signals are blocked from the search on, which takes the dynamic
 * linker's lock: a handler that jumped away would keep that, or leave us with a child that is none. */
__attribute__((used, visibility("hidden"))) vfork_fn vfork_begin(void) {
  lock_signals saved;
  vfork_fn real = libc_real()->vfork;
  if (!real || !__libc_single_threaded || !fdtab_untouched() || session_begun())
    return NULL;
  lock_signals_block(&saved);
  if (imports_sockets() || !divided_lend()) {
    lock_signals_restore(&saved);
    return NULL;
  }
  vfork_signals = saved;
  return real;
}

/* In the child, and in the parent after it. */
__attribute__((used, visibility("hidden"))) void vfork_end(pid_t pid) {
  if (pid != 0)
    divided_returned();
  lock_signals_restore(&vfork_signals);
}
#endif

/* Returns twice, to a stack frame that the child has gone on with: no function of C's can. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        ".globl vfork, __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        "vfork:\n"
        "__vfork:\n"
        "  .cfi_startproc\n"
        "  endbr64\n"
        "  subq $8, %rsp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  call vfork_begin\n"
        "  addq $8, %rsp\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  testq %rax, %rax\n"
        "  jz 1f\n"
        "  popq vfork_caller(%rip)\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_undefined rip\n"
        "  call *%rax\n"
        "  pushq vfork_caller(%rip)\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_restore rip\n"
        "  pushq %rax\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  movl %eax, %edi\n"
        "  call vfork_end\n"
        "  popq %rax\n"
        "  .cfi_adjust_cfa_offset -8\n"
        /* With a shadow stack the child must not return: what it took from there its parent would miss. */
        "  testl %eax, %eax\n"
        "  jnz 2f\n"
        "  xorl %ecx, %ecx\n"
        "  rdsspq %rcx\n"
        "  testq %rcx, %rcx\n"
        "  jz 2f\n"
        "  popq %rcx\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_register rip, rcx\n"
        "  notrack jmp *%rcx\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_restore rip\n"
        "2:\n"
        "  ret\n"
        "1:\n"
        "  jmp fork@PLT\n"
        "  .cfi_endproc\n"
        ".size vfork, .-vfork\n"
        ".size __vfork, .-__vfork\n"
        ".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
        ".globl vfork, __vfork\n"
        ".type vfork, %function\n"
        ".type __vfork, %function\n"
        "vfork:\n"
        "__vfork:\n"
        "  .cfi_startproc\n"
        "  hint 34\n" /* bti c */
        "  stp x29, x30, [sp, #-16]!\n"
        "  .cfi_def_cfa_offset 16\n"
        "  .cfi_offset 30, -8\n"
        "  bl vfork_begin\n"
        "  ldp x29, x30, [sp], #16\n"
        "  .cfi_def_cfa_offset 0\n"
        "  .cfi_restore 30\n"
        "  cbz x0, 1f\n"
        "  adrp x1, vfork_caller\n"
        "  str x30, [x1, #:lo12:vfork_caller]\n"
        "  .cfi_undefined 30\n"
        "  blr x0\n"
        "  adrp x1, vfork_caller\n"
        "  ldr x30, [x1, #:lo12:vfork_caller]\n"
        "  .cfi_restore 30\n"
        "  stp x0, x30, [sp, #-16]!\n"
        "  .cfi_def_cfa_offset 16\n"
        "  .cfi_offset 30, -8\n"
        "  bl vfork_end\n"
        "  ldp x0, x30, [sp], #16\n"
        "  .cfi_def_cfa_offset 0\n"
        "  .cfi_restore 30\n"
        "  ret\n"
        "1:\n"
        "  b fork\n"
        "  .cfi_endproc\n"
        ".size vfork, .-vfork\n"
        ".size __vfork, .-__vfork\n"
        ".popsection\n");
#else
HOOK pid_t vfork(void) { return fork(); }
HOOK pid_t __vfork(void);
HOOK pid_t __vfork(void) { return fork(); }
#endif
