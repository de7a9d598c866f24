# A server's image with nothing in it but the server: no shell, no libc.
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /src
COPY tests/bench/server.go ./
RUN CGO_ENABLED=0 GOTOOLCHAIN=local GOCACHE=/tmp/go go build -o /out/server server.go && rm -rf /tmp/go

FROM scratch
COPY --from=build /out/server /server
ENTRYPOINT ["/server"]
