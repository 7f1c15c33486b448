# The exporter as one static binary in an otherwise empty image.
# scripts/check-image runs these very steps without a Docker engine; it understands COPY, RUN, ARG and ENV in the first stage.

# Debian's packages in it move on with the tag.
ARG RUST_VERSION=1.95.0

# Runs on the target's own platform (natively or emulated), so that the same lines serve amd64 and arm64.
FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Shown as jelou_exporter_build_info{revision}.
ARG REVISION=""
ENV JELOU_EXPORTER_REVISION=$REVISION
# With an explicit --target the flags reach only what is linked into the binary; procedural macros stay dynamic libraries.
# A static glibc asks DNS before /etc/hosts unless nsswitch.conf says otherwise.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --bin jelou-exporter --target "$target" \
 && rm -rf image && mkdir -p image/etc image/data \
 && cp "target/$target/release/jelou-exporter" image/ \
 && echo 'hosts: files dns' > image/etc/nsswitch.conf \
 && printf '127.0.0.1 localhost\n::1 localhost\n' > image/etc/hosts

FROM scratch
ARG REVISION=""
LABEL org.opencontainers.image.title="jelou-exporter" \
      org.opencontainers.image.description="Prometheus and OpenTelemetry exporter for Jelou conversations" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /src/image/etc /etc
COPY --from=build /src/image/jelou-exporter /jelou-exporter
# The state's default path is relative: it lands in the volume, whose first content gives it its owner.
COPY --from=build --chown=65532:65532 /src/image/data /data
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 10110
ENTRYPOINT ["/jelou-exporter"]
