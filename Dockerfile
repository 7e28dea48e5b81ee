# The image of the webhook and of the containers that it puts into Falco pods: one program and what it needs.
#
#   docker build --tag falco-federation-webhook:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag falco-federation-webhook:0.1.0 .
#
# There is no shell in it. The entry point is the launcher, which starts the program or waits in its place, so arguments
# begin with a command: `serve`, `tag-rules`, …
ARG NODE_IMAGE=node:26-bookworm-slim

# The program. JavaScript is the same on every architecture, so it is bundled once, on the builder's own.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS program
WORKDIR /build
COPY package.json package-lock.json ./
# Without scripts: the one of the development dependency `node` would fetch a second Node, and esbuild needs none.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build
RUN mkdir -p /program/usr/lib && cp -R dist /program/usr/lib/falco-federation
# Who bundles others' code passes their licences on.
COPY LICENSE /program/usr/share/licenses/falco-federation/LICENSE
RUN set -eu; \
    npm prune --omit=dev --ignore-scripts --no-audit --no-fund; \
    find node_modules -type f -iregex '.*/\(licen[cs]e\|copying\|notice\)[^/]*' \
      -exec cp --parents --target-directory=/program/usr/share/licenses/falco-federation '{}' +


# What the next two need, of the wanted architecture.
FROM ${NODE_IMAGE} AS tools
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev musl-tools


# The launcher, without a library beside it: it also runs in Falco's image, whatever that one is made of.
FROM tools AS launcher
COPY src/launcher /build
RUN set -eu; \
    sh /build/build.sh /launcher/usr/bin/falco-federation; \
    mkdir -p /launcher/usr/share/licenses; \
    cp /usr/share/doc/musl/copyright /launcher/usr/share/licenses/musl


# Node and the shared libraries that it is linked with, as they lie in the image of the wanted architecture.
FROM tools AS runtime
# Node's symbols are for debuggers of Node itself: without them the image is 15 % smaller.
RUN set -eu; \
    node="$(readlink -f "$(command -v node)")"; \
    mkdir -p /runtime/usr/bin /runtime/usr/share/licenses /runtime/etc; \
    strip --output-file=/runtime/usr/bin/node "$node"; \
    if [ -f "${node%/bin/node}/LICENSE" ]; then cp "${node%/bin/node}/LICENSE" /runtime/usr/share/licenses/node; fi; \
    ldd "$node" > /tmp/libraries; \
    if grep 'not found' /tmp/libraries; then exit 1; fi; \
    for library in $(grep -o '/[^ ]*' /tmp/libraries); do \
      cp --dereference --parents --target-directory=/runtime "$library"; \
      package="$(dpkg-query --search "*/${library##*/}" | head -n 1 | cut -d : -f 1)"; \
      cp "/usr/share/doc/$package/copyright" "/runtime/usr/share/licenses/$package"; \
    done
# A name for the user, as some tools ask for it; and without nsswitch.conf the C library asks DNS before /etc/hosts.
# No CA certificates: the API server's come with the service account, and Node has those of public authorities in it.
RUN set -eu; \
    echo 'falco-federation:x:65532:65532::/:/sbin/nologin' > /runtime/etc/passwd; \
    echo 'falco-federation:x:65532:' > /runtime/etc/group; \
    echo 'hosts: files dns' > /runtime/etc/nsswitch.conf
# Fails here, not in a cluster, when a library is missing.
COPY --from=program /program /smoke
COPY --from=launcher /launcher /smoke
RUN set -eu; \
    cp -R /runtime/. /smoke; \
    chroot --userspec=65532:65532 /smoke /usr/bin/falco-federation --help > /dev/null; \
    rm -rf /smoke


FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="falco-federation-webhook" \
      org.opencontainers.image.description="Makes an unchanged helm install of Falco part of a federation of clusters" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Three layers: Node's, by far the largest one, is the same for many versions of the program.
COPY --from=runtime /runtime /
COPY --from=launcher /launcher /
COPY --from=program /program /
ENV PATH=/usr/bin NODE_ENV=production
# The user that falcoctl's images run as: it may read what falcoctl writes.
USER 65532:65532
ENTRYPOINT ["/usr/bin/falco-federation"]
