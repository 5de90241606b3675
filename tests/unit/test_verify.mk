test_verify_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c tests/unit/support_verify.c
test_verify_LIBS := -lssl -lcrypto
