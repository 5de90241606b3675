test_resolver_SRCS := agentclient/daemon/resolver.c agentclient/daemon/post.c \
  $(addprefix agentclient/observe/,log.c sink.c format.c) agentclient/policy/text.c
test_resolver_LIBS := -levent_core -levent_pthreads -ljansson -lpthread
