# The pods' sandbox ("pause") image, from Debian's busybox-static; the build context is /bin.
FROM scratch
COPY busybox /busybox
USER 65534:65534
ENTRYPOINT ["/busybox", "sleep", "2147483647"]
