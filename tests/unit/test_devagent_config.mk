test_devagent_config_SRCS := agentclient/devagent/config.c agentclient/devagent/roots.c agentclient/identity/spiffeid.c
test_devagent_config_LIBS := -lyaml -lcrypto
