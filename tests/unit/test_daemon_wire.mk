test_daemon_wire_SRCS := agentclient/daemon/wirecheck.c
