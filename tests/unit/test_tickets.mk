include tests/unit/test_handshake.mk
test_tickets_SRCS := $(HANDSHAKE_SRCS) tests/unit/support_resume.c
test_tickets_LIBS := $(HANDSHAKE_LIBS)
