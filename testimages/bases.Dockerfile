# Stand-ins for public base images, one stage each; testimages/bases supplies the context: debian-ARCH.tar and cpython-ARCH.
ARG BUILDARCH
FROM scratch AS debian
ARG TARGETARCH
ADD debian-${TARGETARCH}.tar /
CMD ["bash"]

# Debian on the building machine's own platform, for work that need not run emulated.
FROM --platform=$BUILDPLATFORM scratch AS workshop
ARG BUILDARCH
ADD debian-${BUILDARCH}.tar /
RUN apt-get update

# The tree comes with 90 MB of debug information that official images do not have.
FROM --platform=$BUILDPLATFORM workshop AS cpython
RUN apt-get install -y --no-install-recommends binutils-multiarch
ARG TARGETARCH
COPY cpython-${TARGETARCH} /cpython
RUN find /cpython -name '*.so*' -type f -exec strip --strip-unneeded {} + && find /cpython -name 'config-3*' -prune -exec rm -r {} +

FROM debian AS python
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
ARG PYTHON_VERSION
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHON_VERSION=$PYTHON_VERSION
COPY --from=cpython /cpython /usr/local
RUN ldconfig
CMD ["python3"]

# The packages of gcr.io/distroless/python3-debian12, unpacked and never configured: /bin and /lib are real folders there.
FROM workshop AS distroless-root
WORKDIR /debs
RUN apt-get download base-files netbase tzdata ca-certificates libc6 libssl3 libgcc-s1 libgomp1 libstdc++6 gcc-12-base \
      libbz2-1.0 libdb5.3 libexpat1 liblzma5 libsqlite3-0 libuuid1 libncursesw6 libtinfo6 python3-distutils zlib1g libcom-err2 \
      libcrypt1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 libnsl2 libreadline8 libtirpc3 libffi8 \
      libpython3.11-minimal libpython3.11-stdlib python3.11-minimal \
 && for deb in *.deb; do dpkg-deb -x "$deb" /root.fs; done \
 && cd /root.fs && rm -rf usr/share/man usr/share/locale usr/share/lintian usr/sbin/update-ca-certificates \
 && cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt \
 && ln -s /usr/bin/python3.11 usr/bin/python && ln -s /usr/bin/python3.11 usr/bin/python3 \
 && printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >etc/passwd \
 && printf 'root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n' >etc/group \
 && mkdir -p home/nonroot tmp root && chmod 700 root home/nonroot && chmod 1777 tmp && chown 65532:65532 home/nonroot \
 && ldconfig -r .

FROM scratch AS distroless
COPY --from=distroless-root /root.fs /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt LANG=C.UTF-8
USER 65532
WORKDIR /home/nonroot
ENTRYPOINT ["/usr/bin/python3.11"]

FROM workshop AS busybox-root
WORKDIR /debs
RUN apt-get download busybox-static && dpkg-deb -x busybox-static*.deb . \
 && mkdir -p /root.fs/bin /root.fs/etc /root.fs/root /root.fs/var /root.fs/tmp /root.fs/home && chmod 1777 /root.fs/tmp \
 && cp bin/busybox /root.fs/bin/ && for name in $(/root.fs/bin/busybox --list); do ln -f /root.fs/bin/busybox "/root.fs/bin/$name"; done \
 && echo 'root:x:0:0:root:/root:/bin/sh' >/root.fs/etc/passwd && echo 'root:x:0:' >/root.fs/etc/group

FROM scratch AS busybox
COPY --from=busybox-root /root.fs /
CMD ["sh"]
