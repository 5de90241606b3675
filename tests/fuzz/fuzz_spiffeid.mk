fuzz_spiffeid_SRCS := agentclient/identity/spiffeid.c
fuzz_spiffeid_LIBS :=
