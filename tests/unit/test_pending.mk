PENDING_SRCS := tests/unit/pending_fakes.c shim/libc.c shim/conn_pages.c shim/conn_options.c shim/lock.c shim/fdtab.c shim/divided.c shim/headroom.c shim/pending.c shim/pending_cell.c \
  shim/pending_settle.c shim/pending_standard.c shim/seat.c shim/shared.c shim/pending_wait.c shim/pending_io.c shim/pending_end.c shim/plain.c shim/epollreg.c shim/epollreg_data.c shim/epollreg_records.c shim/epollreg_fdinfo.c \
  shim/wait.c shim/wait_select.c shim/wait_pieces.c shim/wait_epoll.c shim/hooks/connect.c shim/hooks/poll.c \
  shim/hooks/select.c \
  shim/hooks/epoll.c
test_pending_SRCS := $(PENDING_SRCS)
test_pending_LIBS := -lpthread
test_wait_SRCS := $(PENDING_SRCS)
test_wait_LIBS := -lpthread
test_pending_plain_SRCS := $(PENDING_SRCS)
test_pending_plain_LIBS := -lpthread
