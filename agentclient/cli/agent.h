/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the SPIFFE agent's address as it is given on a command line: a path, unix:///PATH or tcp://IP:PORT.
 */
#ifndef CLI_AGENT_H
#define CLI_AGENT_H

/* Puts it into SPIFFE_ENDPOINT_SOCKET as the standard wants it. EX_OK, or an exit code after a message on stderr. */
int agent_to_environment(const char *agent);

#endif
