# The service with one model. `cargo xtask image build` makes the model's own image first, which MODEL
# names, and passes the rest; the words in capitals are its to know.
#
# No syntax of BuildKit, so any builder builds it. The layers that change least come first: a new model is
# the last layer of the image, and its rebuild runs no compiler.

# Ahead of all, because an argument of a later FROM must be.
ARG MODEL=mnist-api-model

# libtorch as `cargo xtask setup` puts it together; xtask/src/libtorch.rs says why these files.
# It comes first because the trainer's image begins with it alone, and older builders make every stage that stands
# before the one that is wanted.
FROM debian:bookworm-slim AS libtorch
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils ca-certificates python3-pip unzip \
 && rm -rf /var/lib/apt/lists/*
COPY xtask/src/libtorch/x86_64-linux.txt /wheels.txt
RUN pip3 download --quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
      --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
      --platform manylinux2014_x86_64 --dest /wheels --requirement /wheels.txt \
 && mkdir /libtorch \
 && unzip -q -j '/wheels/torch-*.whl' torch/lib/libtorch_cpu.so torch/lib/libc10.so torch/lib/libgomp.so.1 -d /libtorch/lib \
 && unzip -q -j '/wheels/nvidia_cuda_runtime-*.whl' '*/libcudart.so.13' -d /libtorch/lib \
 && unzip -q -j '/wheels/nvidia_cuda_cupti-*.whl' '*/libcupti.so.13' -d /libtorch/lib \
 && unzip -q '/wheels/torch-*.whl' 'torch/include/*' -d / \
 && mv /torch/include /libtorch/include \
 && rm -r /wheels /torch \
 # A fifth of it are symbols that only a debugger reads.
 && strip --strip-unneeded /libtorch/lib/libtorch_cpu.so \
 && cp -r /libtorch/lib /runtime \
 && echo 'INPUT(libtorch_cpu.so)' > /libtorch/lib/libtorch.so \
 && sed -n 's/^torch==\([^ ]*\).*/\1/p' /wheels.txt > /libtorch/build-version

# Everything that is not ours, compiled against empty packages: edited sources reuse it.
FROM rust:1.95-slim-bookworm AS dependencies
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
COPY --from=libtorch /libtorch /libtorch
ENV LIBTORCH=/libtorch
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY app/Cargo.toml app/build.rs app/
COPY app/protocol/Cargo.toml app/protocol/
COPY model/Cargo.toml model/build.rs model/
COPY model/chart/Cargo.toml model/chart/
COPY model/contract/Cargo.toml model/contract/
COPY tests/Cargo.toml tests/
COPY tests/fuzz/Cargo.toml tests/fuzz/
COPY xtask/Cargo.toml xtask/
COPY xtask/gitops/Cargo.toml xtask/gitops/
COPY xtask/listen/Cargo.toml xtask/listen/
COPY xtask/mlops/Cargo.toml xtask/mlops/
RUN for folder in app app/protocol model model/chart model/contract tests/harness tests/fuzz xtask xtask/gitops xtask/listen xtask/mlops; do \
      mkdir -p $folder/src \
      && touch $folder/lib.rs $folder/src/lib.rs \
      && echo 'fn main() {}' > $folder/src/main.rs || exit 1; \
    done \
 && cargo build --release --locked --package app \
 # By their times the empty packages look newer than the sources that follow.
 && cargo clean --release --locked --package app --package protocol --package model --package chart --package contract

FROM dependencies AS build
COPY app app
COPY model model
RUN cargo build --release --locked --package app

FROM ${MODEL} AS model

# No shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot AS mnist-api
COPY --from=libtorch /runtime /app/lib
COPY --from=build /build/target/release/mnist-api /app/bin/mnist-api
COPY --from=model --chown=65532:65532 /models /models

ARG APP_VERSION=unversioned
ARG APP_REVISION=unknown
ARG MODEL_VERSION=unknown
ARG MODEL_DIGEST=unknown
LABEL org.opencontainers.image.title="mnist-api" \
      org.opencontainers.image.description="Classifies pictures over HTTP" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot" \
      org.opencontainers.image.version="${APP_VERSION}" \
      org.opencontainers.image.revision="${APP_REVISION}" \
      mnist-api.model.version="${MODEL_VERSION}" \
      mnist-api.model.digest="${MODEL_DIGEST}"
ENV APP_VERSION=${APP_VERSION} \
    APP_REVISION=${APP_REVISION} \
    MODEL_DIR=/models \
    LISTEN=0.0.0.0:8000
# By number: Kubernetes cannot tell whether a name is root.
USER 65532:65532
WORKDIR /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["/app/bin/mnist-api", "healthcheck"]
ENTRYPOINT ["/app/bin/mnist-api"]
CMD ["serve"]
