# kube-proxy and podnet, with the few network tools that they call: nft, conntrack, ip and their libraries.
ARG BASE
FROM $BASE AS tools
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends nftables conntrack iproute2 \
    && for tool in $(readlink -f /usr/sbin/nft /usr/sbin/conntrack /bin/ip); do \
         mkdir -p /out/usr/sbin && cp "$tool" /out/usr/sbin/ \
         && ldd "$tool" | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /out; \
       done

FROM scratch
COPY --from=tools /out /
COPY kube-proxy podnet /usr/local/bin/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
