# Tells npm and node-gyp that this package has an addon, and hands the build over
# to cmake-js: `npx node-gyp rebuild` gives build/Release/cleric.node too.
# node-gyp's own build directory is build/ as well, hence the other output here
# is none: the action runs where node-gyp runs make and writes outside its list.
{
  'targets': [
    {
      'target_name': 'cleric',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake-js',
          'inputs': ['CMakeLists.txt'],
          'outputs': ['<(module_root_dir)/build/cmake-js-was-run'],
          'action': ['node', '<(module_root_dir)/node_modules/cmake-js/bin/cmake-js', 'compile',
                     '--directory', '<(module_root_dir)'],
        },
      ],
    },
  ],
}
