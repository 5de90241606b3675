fuzz_wire_SRCS := agentclient/daemon/wirecheck.c
fuzz_wire_LIBS :=
