test_identity_decoded_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c
test_identity_decoded_LIBS := -lssl -lcrypto -lpthread
