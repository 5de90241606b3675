test_verify_path_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c tests/unit/support_verify.c
test_verify_path_LIBS := -lssl -lcrypto
