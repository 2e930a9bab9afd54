FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY tests tests
ARG PORTCULLIS_REVISION=unknown
RUN PORTCULLIS_REVISION=$PORTCULLIS_REVISION cargo build --release --locked --bin portcullis

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin portcullis
COPY --from=build /build/target/release/portcullis /usr/local/bin/portcullis
COPY LICENSE /usr/share/doc/portcullis/LICENSE
USER 10001:10001
EXPOSE 8080
# Asks the admin listener on the loopback of the container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["portcullis", "status"]
ENTRYPOINT ["portcullis"]
# The image holds no configuration; mount one here.
CMD ["run", "-c", "/etc/portcullis/gateway.yaml"]
