#!/bin/sh
# streamderain between two GStreamer pipelines:
#     examples/gstreamer_pipe.sh 1280x720 25 \
#         'rtspsrc location=rtsp://10.0.0.5/live ! decodebin' \
#         'x264enc tune=zerolatency ! matroskamux ! filesink location=clean.mkv'
# Needs streamderain and gst-launch-1.0. The first ends in raw video of any kind, the second begins with it;
# between them frames have the size and rate that come first.
set -eu
size=$1 rate=$2 source=$3 sink=$4
width=${size%x*} height=${size#*x}
# FFmpeg and streamderain pack rows; GStreamer pads RGB rows to 4 bytes, and RGBA ones not at all.
# So widths that are no multiple of 4 are scaled to one.
width=$((width / 4 * 4))
caps="video/x-raw,format=RGB,width=$width,height=$height,framerate=$rate/1"
# shellcheck disable=SC2086 # the pipelines are lists of words
gst-launch-1.0 -q $source ! videoconvert ! videoscale ! videorate ! "$caps" ! fdsink fd=1 |
    streamderain clean - --size "${width}x$height" --fps "$rate" --model "${MODEL:-video-s}" -o - |
    gst-launch-1.0 -q fdsrc fd=0 ! rawvideoparse format=rgb width="$width" height="$height" \
        framerate="$rate/1" ! videoconvert ! $sink
