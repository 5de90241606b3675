/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiny.c - a program that does nothing; linked statically it is one that cannot be wrapped.
 */
int main(void) { return 0; }
