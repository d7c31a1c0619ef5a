# kube-proxy and podnet, with the few network tools that they call: iptables, nft, conntrack, ip, their libraries and plug-ins.
ARG BASE
FROM $BASE AS tools
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends iptables nftables conntrack iproute2 \
    && mkdir -p /out/usr/sbin \
    && for tool in /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack "$(readlink -f /bin/ip)"; do \
         cp "$tool" /out/usr/sbin/ \
         && ldd "$tool" | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /out; \
       done \
    && cp --parents -L /usr/lib/*/xtables/*.so /out \
    && for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do \
         ln -s xtables-nft-multi "/out/usr/sbin/$name"; \
       done

FROM scratch
COPY --from=tools /out /
COPY kube-proxy podnet /usr/local/bin/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
