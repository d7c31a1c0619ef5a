#!/bin/sh
# Copies PyTorch and all that it needs to run from this root file system to the folder $1, laid out as below /.
# Debian's package brings 1.4 GB: test programs, and video and geography libraries that libtorch is linked to and never calls.
set -eu
target=$1
python=/usr/lib/python3/dist-packages

echo "dropping from libtorch the libraries that it does not call"
torch_cpu=$(ls /usr/lib/*-linux-gnu/libtorch_cpu.so.*.*.*)
for unused in $(ldd -u "$torch_cpu" | grep -o '/.*'); do
    patchelf --remove-needed "$(basename "$unused")" "$torch_cpu"
done

echo "correcting torchrun"
patch --directory="$python" --strip=1 <"$(dirname "$0")/torchrun.patch"

echo "copying programs and Python modules"
rm -rf "$python"/numpy/*/tests
find "$python/torch/bin" -type f ! -name torch_shm_manager -delete
mkdir -p "$target/usr/local/bin"
cp -a --parents /usr/bin/python3 /usr/bin/python3.11 /usr/bin/tini /usr/bin/torchrun /usr/lib/python3.11 "$python/torch" \
    "$python"/torch-*.egg-info "$python/numpy" "$python/astunparse" "$python/six.py" "$python/typing_extensions.py" "$target"
# As process 1, torchrun would ignore SIGTERM until its peers are there, and a pod's deletion would take all of its grace.
printf '#!/bin/sh\nexec tini -s -- /usr/bin/torchrun "$@"\n' >"$target/usr/local/bin/torchrun"
chmod 755 "$target/usr/local/bin/torchrun"

echo "copying the shared libraries of all these"
# torch/lib holds links to versioned names in the system's folder; three of them lead nowhere without the development package.
linked=$(cd "$python/torch/lib" && for link in *.so; do [ ! -e "$link" ] || realpath -s "$(readlink "$link")"; done)
modules=$(find "$python/torch" "$python/numpy" /usr/lib/python3.11 -type f -name '*.so')
for library in $linked $(ldd /usr/bin/python3.11 $modules $linked | grep -o '=> /[^ ]*' | cut -c4- | sort -u); do
    place=$target/usr/${library#/usr/}
    mkdir -p "$(dirname "$place")"
    cp -L "$library" "$place"
done
