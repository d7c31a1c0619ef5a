# kube-proxy and podnet, with the few network tools that they call: iptables, nft, conntrack, ip, their libraries and plug-ins.
ARG BASE
FROM $BASE AS tools
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends iptables nftables conntrack iproute2 \
    && mkdir -p /out/usr/sbin \
    && cp /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack "$(readlink -f /bin/ip)" /out/usr/sbin/ \
    && cp --parents -L /usr/lib/*/xtables/*.so /out \
    # Plug-ins have libraries of their own: without libm a rule for a Service of two endpoints fails the whole table.
    && for file in /out/usr/sbin/* /usr/lib/*/xtables/*.so; do \
         ldd "$file" | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /out; \
       done \
    && for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do \
         ln -s xtables-nft-multi "/out/usr/sbin/$name"; \
       done

FROM scratch
COPY --from=tools /out /
COPY kube-proxy podnet /usr/local/bin/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
