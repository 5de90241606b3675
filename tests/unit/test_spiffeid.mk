test_spiffeid_SRCS := agentclient/identity/spiffeid.c
test_spiffeid_LIBS :=
