# Made by packaging/, as every file of a release.
{
  description = "{{summary}}";
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }:
    let
      archives = {
{{systems}}
      };
      each = nixpkgs.lib.genAttrs (builtins.attrNames archives);
    in
    {
      packages = each (system:
        let pkgs = nixpkgs.legacyPackages.${system}; in
        rec {
          default = shimmy;
          shimmy = pkgs.stdenv.mkDerivation {
            pname = "shimmy";
            version = "{{version}}";
            src = pkgs.fetchurl archives.${system};
            nativeBuildInputs = pkgs.lib.optionals pkgs.stdenv.isLinux [ pkgs.autoPatchelfHook ];
            buildInputs = pkgs.lib.optionals pkgs.stdenv.isLinux [ pkgs.stdenv.cc.cc.lib ];
            # .NET looks for it while the program runs.
            runtimeDependencies = pkgs.lib.optionals pkgs.stdenv.isLinux [ (pkgs.lib.getLib pkgs.openssl) ];
            # GPU plug-ins ask for libraries of the driver, which the system has.
            autoPatchelfIgnoreMissingDeps = true;
            dontStrip = true;
            installPhase = ''
              mkdir -p $out/lib/shimmy $out/bin
              mv share $out/share
              cp -r . $out/lib/shimmy
              ln -s ../lib/shimmy/shimmy $out/bin/shimmy
            '';
            meta = { homepage = "{{home}}"; mainProgram = "shimmy"; };
          };
        });
    };
}
